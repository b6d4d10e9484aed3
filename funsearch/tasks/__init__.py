"""The task sets that come with funsearch."""
