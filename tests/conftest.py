"""What tests of several rooms need: a PostgreSQL server and a small disk, if they can be had."""

import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from funsearch.testing.postgres import PostgresServer, postgres_programs

POSTGRES = os.environ.get("FUNSEARCH_TEST_POSTGRES")
HAS_SERVER = postgres_programs() is not None and find_spec("psycopg") is not None


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """The URL of a database to test on: of a server of the tests' own, unless FUNSEARCH_TEST_POSTGRES names one."""
    if POSTGRES is not None:
        yield POSTGRES
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with PostgresServer(Path(folder) / "postgres", {"fsync": "off"}) as server:
            yield server.url


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A server that the test may stop and start."""
    if not HAS_SERVER:
        pytest.skip("no PostgreSQL server with its driver: apt install postgresql, pip install funsearch[postgres]")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with PostgresServer(Path(folder) / "postgres") as server:
            yield server


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """The URL of an empty schema in the PostgreSQL database of the tests."""
    schema = f"test_{uuid.uuid4().hex}"
    url = make_url(postgres_database).set(drivername="postgresql+psycopg")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    yield url.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of eight megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may make a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
