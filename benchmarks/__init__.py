"""Benchmarks: each is one command, `python -m benchmarks.NAME`, and compares its figures with a baseline."""
