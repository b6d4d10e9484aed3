"""Reading functions from the completions of models, and comparing functions."""
