"""How a function is read out of a model's answer, and when two functions are the same."""
