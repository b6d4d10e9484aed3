"""Everything that runs on Ray: the driver, the actors and their pools."""
