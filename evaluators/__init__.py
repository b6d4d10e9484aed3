"""Evaluators of the problems shipped with funsearch: what the model never sees."""
