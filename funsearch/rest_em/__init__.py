"""ReST^EM: the parts of a round. Like the core it needs only Python and numpy, and performs no I/O."""
