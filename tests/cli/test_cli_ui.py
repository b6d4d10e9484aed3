"""`funsearch ui`, in a process of its own."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from funsearch.loading import load_problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.search import Search
from funsearch.storage import open_storage
from funsearch.testing import InProcessSandbox

MAIN = [sys.executable, "-c", "from funsearch.cli import main; main()", "ui"]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database without a run."""
    file = tmp_path / "runs.db"
    open_storage(str(file)).close()
    return file


@contextmanager
def served(db: Path, *args: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serves the page; yields its process and its address."""
    command = [*MAIN, "--db", str(db), "--port", "0", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_page_is_served_until_ctrl_c(db: Path) -> None:
    with served(db) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        assert get(address)[0] == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (0, "")
        assert err == "Press Ctrl-C to stop.\n"


def test_other_machines_need_the_token_in_the_printed_address(db: Path) -> None:
    with served(db, "--host", "0.0.0.0") as (_, address):
        assert re.fullmatch(r"http://0\.0\.0\.0:\d+/\?token=[\w-]{20,}", address)
        bare = address.partition("?")[0]
        assert get(bare)[0] == 401
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        assert opener.open(address, timeout=60).status == 200
        assert opener.open(bare, timeout=60).status == 200


def test_explicit_token_is_required_on_this_machine_too(db: Path) -> None:
    with served(db, "--token", "mine") as (_, address):
        assert address.endswith("?token=mine")
        assert get(address.partition("?")[0])[0] == 401


def test_solution_of_a_program_is_drawn_in_the_sandbox(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path / "runs.db"))
    problem = load_problem("cap_set", inputs=["n=3"])
    sampler = ScriptedSampler(["    return float(el[0])\n"], samples_per_prompt=1)
    with Search(problem, sampler=sampler, sandbox=InProcessSandbox(), storage=storage, name="caps") as search:
        search.run()
    storage.close()
    with served(tmp_path / "runs.db") as (_, address):
        assert "picture" in get(f"{address}runs/1/programs/1")[1]
        status, text = get(f"{address}runs/1/programs/1/picture")
        assert status == 200, text
        with urllib.request.urlopen(f"{address}runs/1/programs/1/picture.png", timeout=60) as answer:
            assert answer.read().startswith(b"\x89PNG")


@pytest.mark.parametrize("fault", ["port taken", "no such address", "no database", "empty token"])
def test_error_is_one_line(db: Path, fault: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        arguments, expected = {
            "port taken": (["--port", port], f"127.0.0.1 port {port}: it is in use: choose another --port"),
            "no such address": (["--host", "no.such.invalid"], "Cannot listen on no.such.invalid"),
            "no database": (["--db", str(db) + ".missing.db"], "no database at"),
            "empty token": (["--token", ""], "--token is empty"),
        }[fault]
        command = [*MAIN, "--db", str(db), "--port", "0", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: ")
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1
