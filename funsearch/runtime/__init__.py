"""Search, settings, Ray actors: the room that knows all others. The plain parts are importable without Ray."""
