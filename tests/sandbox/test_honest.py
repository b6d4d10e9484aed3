"""Honest programs at every level: none is refused, and each returns the same value as outside the sandbox."""

import pytest
from honest import HONEST

from funsearch.core.records import Limits
from funsearch.sandbox.engine import ForkSandbox

LIMITS = Limits(seconds=10.0, memory_mb=256)


@pytest.mark.parametrize("name", HONEST)
def test_honest_program_is_not_refused(name: str, sandbox: ForkSandbox) -> None:
    source, value = HONEST[name]
    with sandbox.start(source, LIMITS) as process:
        returned = process.call("f", ())
    assert returned == value
    assert type(returned) is type(value)
