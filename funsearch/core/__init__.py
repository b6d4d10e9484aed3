"""The algorithm: Python and numpy only. No I/O, no clock, no Ray, no SQL, no model."""
