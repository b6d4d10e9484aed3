"""The problems that come with funsearch: what the model sees."""
