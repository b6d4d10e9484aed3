"""The sandbox in which tests of problems run candidates, and the folder of the published data."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from funsearch.core.ports import Sandbox
from funsearch.errors import SandboxError
from funsearch.sandbox import open_sandbox
from funsearch.testing import InProcessSandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A real sandbox if this machine permits one, otherwise one within the process."""
    try:
        opened: Sandbox = open_sandbox()
    except SandboxError:
        opened = InProcessSandbox()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of the published bin-packing instances."""
    folder = Path(os.environ.get("FUNSEARCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no published instances in {folder}: set FUNSEARCH_DATA to the folder that holds or_library/")
    return folder
