"""Trainers, one external library each. Importing this package loads none of them."""
