"""Specifications of the problems shipped with funsearch: what the model sees."""
