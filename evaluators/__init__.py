"""The evaluators of the problems that come with funsearch: what the model never sees."""
