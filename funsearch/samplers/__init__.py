"""Samplers: one outside library each. Import the module you need; this package itself loads nothing."""
