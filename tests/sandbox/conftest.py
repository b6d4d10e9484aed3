"""Sandboxes at every level that this machine supports, and functions to run programs in them."""

from collections.abc import Callable, Iterator

import pytest

from funsearch.core.ports import CandidateFailure
from funsearch.core.records import Limits
from funsearch.sandbox import available_levels
from funsearch.sandbox.engine import ForkSandbox
from funsearch.sandbox.levels import LEVELS, UNCONFINED

LIMITS = Limits(seconds=1.0, memory_mb=256, output_bytes=1000)
HONEST = "import numpy as np\ndef f(x=2.0):\n    return float(np.sqrt(x * x))\n"

Run = Callable[..., object]
Fail = Callable[..., CandidateFailure]


@pytest.fixture(scope="session")
def open_level() -> Iterator[Callable[[str], ForkSandbox]]:
    """Opens a sandbox at a level once; skips the test with a reason if the level is unavailable."""
    opened: dict[str, ForkSandbox] = {}

    def at(name: str) -> ForkSandbox:
        if name not in opened:
            if name != "none" and (reason := available_levels()[name]):
                pytest.skip(f"{name}: {reason}")
            opened[name] = ForkSandbox(UNCONFINED if name == "none" else LEVELS[name])
        return opened[name]

    yield at
    for sandbox in opened.values():
        sandbox.close()


@pytest.fixture(params=[*LEVELS])
def sandbox(request: pytest.FixtureRequest, open_level: Callable[[str], ForkSandbox]) -> ForkSandbox:
    """A sandbox at each level."""
    return open_level(request.param)


@pytest.fixture
def run(sandbox: ForkSandbox) -> Run:
    """Runs the function `f` of a program and returns its result."""

    def run(source: str, *args: object) -> object:
        with sandbox.start(source, LIMITS) as process:
            return process.call("f", args)

    return run


@pytest.fixture
def fail(run: Run) -> Fail:
    """Returns the failure of a program, after checking that the next, honest program is not affected."""

    def fail(source: str) -> CandidateFailure:
        with pytest.raises(CandidateFailure) as caught:
            run(source)
        assert run(HONEST, 3.0) == 3.0, "the next candidate is affected"
        return caught.value

    return fail
