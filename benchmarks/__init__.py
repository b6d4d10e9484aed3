"""Measurements, each one command, each beside something to compare with: `python -m benchmarks.NAME`."""
