"""Hostile programs at every level: each is contained, and does not affect the honest program after it."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hostile import CORPUS, LEAKED

from funsearch.core.ports import CandidateFailure
from funsearch.core.records import Limits, Status
from funsearch.sandbox.engine import ForkSandbox

QUICK = Limits(seconds=0.4, memory_mb=256, output_bytes=2000)
"""For programs that exceed the time limit."""
LIMITS = replace(QUICK, seconds=1.0)
PATIENT = replace(QUICK, seconds=10.0)
"""For honest programs, even on a busy machine."""
HONEST = """
import math, random
import numpy as np
def f(x=2.0):
    return [float(np.sqrt(x)), math.sqrt(x), len([1, 2]), float(np.mean([1.0, 3.0])), max(1, 2), random.random()]
"""
HONEST_VALUE = [2.0, 2.0, 2, 2.0, 2]


@dataclass
class World:
    """The targets of hostile programs."""

    folder: Path
    port: int
    connections: list[str]

    @property
    def secret(self) -> Path:
        return self.folder / "secret"

    def program(self, source: str) -> str:
        """Returns a program with its placeholders filled in."""
        places = {"SECRET": self.secret, "FOLDER": self.folder, "ENGINE": os.getpid(), "PORT": self.port}
        for name, value in places.items():
            source = source.replace(f"${name}", str(value))
        return source

    def untouched(self) -> bool:
        """Returns whether nothing has been changed."""
        files = sorted(path.name for path in self.folder.iterdir()) + list(Path("/dev/shm").glob("funsearch-made"))
        return files == ["secret"] and self.secret.read_text() == "a secret\n" and not self.connections


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    os.chmod(folder, 0o777)
    for parent in folder.parents[:2]:  # Only the sandbox may prevent access.
        os.chmod(parent, 0o755)
    connections: list[str] = []

    def accept(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append("connected")
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        world = World(folder, server.getsockname()[1], connections)
        world.secret.write_text("a secret\n")
        os.chmod(world.secret, 0o666)
        yield world
        server.shutdown(socket.SHUT_RDWR)


def ending(sandbox: ForkSandbox, source: str, limits: Limits = LIMITS) -> Status | None:
    """Returns the status of a program's failure, or None if it returns a value."""
    try:
        with sandbox.start(source, limits) as process:
            value = process.call("f", ())
    except CandidateFailure as failure:
        return failure.status
    assert value != LEAKED, "it succeeded"
    return None


@pytest.mark.parametrize("name", CORPUS)
def test_hostile_program_is_contained(name: str, sandbox: ForkSandbox, world: World) -> None:
    program = CORPUS[name]
    limits = QUICK if name.startswith("time") else LIMITS
    assert ending(sandbox, world.program(program.source), limits) in program.contained
    assert world.untouched()
    with sandbox.start(HONEST, PATIENT) as process:
        value = process.call("f", (4.0,))
    assert value[:-1] == HONEST_VALUE
    assert value[-1] == pytest.approx(0.8444218515250481), "random numbers depend on what ran before"


LEAKS = ["files: reads a secret", "files: makes a file", "network: connects", "processes: forks"]


@pytest.mark.parametrize("name", LEAKS)
def test_unconfined_program_succeeds(name: str, open_level: Callable[[str], ForkSandbox], world: World) -> None:
    """Positive control: the same programs succeed without confinement, and the tests detect it."""
    with pytest.raises(AssertionError, match="it succeeded"):
        ending(open_level("none"), world.program(CORPUS[name].source))
    if name == "files: makes a file":
        assert not world.untouched()
        (world.folder / "made").unlink()
    world.connections.clear()
    assert world.untouched()
