"""Attacks that the self-test runs in a sandbox to check that it holds."""

import os
import tempfile
from pathlib import Path

from funsearch.core.ports import CandidateFailure, Sandbox
from funsearch.core.records import Limits

ATTACKS = {
    "reads a file": "open({secret!r}).read()",
    "writes a file": "open({written!r}, 'w').write('x')",
    "lists a folder": "__import__('os').listdir({folder!r})",
    "opens a socket": "__import__('_socket').socket()",
    "starts a process": "__import__('os').fork() or __import__('os')._exit(0)",
    "runs a program": "__import__('os').posix_spawn('/bin/true', ['true'], {{}})",
    "signals the engine": "__import__('os').kill({engine}, 0)",
    "signals everyone": "__import__('os').kill(-1, 0)",
    "has the kernel signal the engine": "__import__('fcntl').fcntl(3, 8, {engine})",
    "reads the engine's environment": "open('/proc/{engine}/environ', 'rb').read()",
    "traces a process": "assert_zero(__import__('ctypes').CDLL(None).ptrace(0, 0, 0, 0))",
    "takes more memory than it may": "bytearray(2**29)",
    "raises its limits": "__import__('resource').setrlimit(7, (4096, 4096))",
}
"""Expressions that raise, or do not return, unless the attack succeeds."""
LIMITS = Limits(seconds=5.0, memory_mb=256)

_PROGRAM = """
def assert_zero(value):
    assert value == 0

def attempt():
    {attack}
    return True
"""
_HONEST = """
import numpy
def attempt():
    return bool(numpy.ones(3).sum() == 3)
"""


def attempts_that_succeed(sandbox: Sandbox) -> list[str]:
    """Runs `ATTACKS` and an honest program; returns the attacks that succeed, and an entry if the latter fails."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # So that only the sandbox prevents access.
        secret = Path(folder, "secret")
        secret.write_text("secret")
        secret.chmod(0o666)
        places = {"folder": folder, "secret": str(secret), "written": str(secret), "engine": os.getpid()}
        sources = {name: _PROGRAM.format(attack=attack.format(**places)) for name, attack in ATTACKS.items()}
        successful = [name for name, source in sources.items() if _succeeds(sandbox, source)]
    return successful if _succeeds(sandbox, _HONEST) else [*successful, "an honest program does not run"]


def _succeeds(sandbox: Sandbox, source: str) -> bool:
    try:
        with sandbox.start(source, LIMITS) as process:
            return process.call("attempt", []) is True
    except CandidateFailure:
        return False
