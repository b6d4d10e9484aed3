"""What tests of storages need of the machine."""

import os
from importlib.util import find_spec

import pytest

from funsearch.testing.postgres import postgres_programs

needs_postgres = pytest.mark.skipif(
    find_spec("psycopg") is None or not (os.environ.get("FUNSEARCH_TEST_POSTGRES") or postgres_programs()),
    reason="no PostgreSQL: install it (apt install postgresql) and its driver (pip install funsearch[postgres]), or "
    "set FUNSEARCH_TEST_POSTGRES to the URL of a database to test on",
)
