"""The version of funsearch."""

__version__ = "0.1.0"
