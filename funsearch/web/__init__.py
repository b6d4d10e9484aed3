"""The page that shows runs, rendered here and read-only. Knows nothing about searching."""
