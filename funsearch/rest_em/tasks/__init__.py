"""The task sets: one file each. Outside libraries are imported when a set is used that needs them."""
