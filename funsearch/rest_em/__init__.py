"""ReST^EM: what a round is made of. Like the core it needs Python and numpy only, and does nothing by itself."""
