"""The task sets that are shipped with funsearch, and the opening of installed ones."""
