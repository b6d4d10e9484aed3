"""What tests of storages need from the machine."""

import os
from importlib.util import find_spec

import pytest

from funsearch.testing.postgres import postgres_programs

HAS_DRIVER = find_spec("psycopg") is not None
NO_POSTGRES = "needs PostgreSQL and its driver: apt install postgresql, pip install 'funsearch[postgres]'"

needs_postgres = pytest.mark.skipif(
    not HAS_DRIVER or not (os.environ.get("FUNSEARCH_TEST_POSTGRES") or postgres_programs()), reason=NO_POSTGRES
)
"""Marks tests that use a PostgreSQL database; FUNSEARCH_TEST_POSTGRES may name one on another server."""
