"""Samplers, one module for each external library. Import the module you need; the package itself imports nothing."""
