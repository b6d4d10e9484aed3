"""Trainers: one outside library each. This package itself loads nothing."""
