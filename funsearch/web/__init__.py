"""The web page that shows runs: rendered on the server and read-only. Knows nothing about searching."""
