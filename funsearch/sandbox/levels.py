"""Levels of confinement: which this machine can give, and the proof by attacks that the one chosen holds."""

import functools
import os
import tempfile
from pathlib import Path

from funsearch.core.ports import CandidateFailure, Sandbox
from funsearch.core.records import Limits
from funsearch.errors import SandboxError
from funsearch.sandbox import lowlevel
from funsearch.sandbox.engine import ForkSandbox

ATTACKS = {
    "reads a file": "open({secret!r}).read()",
    "writes a file": "open({written!r}, 'w').write('x')",
    "lists a folder": "__import__('os').listdir('/')",
    "opens a socket": "__import__('_socket').socket()",
    "starts a process": "__import__('os').fork()",
    "runs a program": "__import__('os').execv('/bin/true', ['true'])",
    "signals the engine": "__import__('os').kill({engine}, 0)",
    "uses ptrace": "[__import__('_ctypes') and __import__('ctypes').CDLL(None).ptrace(0, 0, 0, 0)].index(0)",
    "reads the engine's environment": "open('/proc/{engine}/environ').read()",
    "raises its limits": "__import__('resource').setrlimit(7, (4096, 4096))",
}
"""What is tried when a sandbox is opened: an expression whose success is a breach."""
ATTACK_LIMITS = Limits(seconds=5.0, memory_mb=256)


def open_sandbox(level: str = "auto", *, unsafe: bool = False) -> Sandbox:
    """Returns a sandbox of the level, or of the best one this machine gives (`auto`).

    Args:
        level: auto, L3, L2 or L1.
        unsafe: permits level `none` when nothing better can be had.

    Raises:
        SandboxError: the level cannot be had, or an attack got through.
    """
    reasons = available_levels()
    if level != "auto":
        if level not in reasons:
            raise SandboxError(f"There is no sandbox level {level}: choose from auto, {', '.join(reasons)}.")
        if reasons[level]:
            raise SandboxError(f"Sandbox level {level} cannot be had here: {reasons[level]}. See `funsearch doctor`.")
        return ForkSandbox(level)
    best = next((name for name, reason in reasons.items() if not reason), None)
    if best is not None:
        return ForkSandbox(best)
    if unsafe:
        return ForkSandbox("none")
    raise SandboxError(
        "Candidates cannot be confined on this machine: "
        + "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        + ". Run in the container image, or accept the risk with --unsafe-no-sandbox."
    )


@functools.cache
def available_levels() -> dict[str, str]:
    """Returns each level, best first, with the reason why it cannot be had; an empty reason means it can."""
    reasons = {"L3": "namespaces are not supported yet; L2 and L1 are"}
    for level in ("L2", "L1"):
        reasons[level] = _reason_against(level)
    return reasons


def _reason_against(level: str) -> str:
    if lowlevel.ARCH is None:
        return f"needs Linux on x86-64 or aarch64, this is {os.uname().sysname} on {os.uname().machine}"
    if level == "L2" and not lowlevel.landlock_abi():
        return "the kernel has no landlock (Linux 5.13 or newer, with CONFIG_SECURITY_LANDLOCK)"
    try:
        sandbox = ForkSandbox(level)
    except SandboxError as error:
        return str(error)
    try:
        through = self_test(sandbox)
    finally:
        sandbox.close()
    return f"in its self-test these attacks got through: {', '.join(through)}" if through else ""


def self_test(sandbox: Sandbox) -> list[str]:
    """Returns which of `ATTACKS` get through, run for real in the sandbox; none is what one hopes for."""
    through = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # so that nothing but the sandbox stands in the way
        secret = Path(folder) / "secret"
        secret.write_text("secret")
        places = {"secret": str(secret), "written": str(Path(folder) / "written"), "engine": os.getpid()}
        for name, attack in ATTACKS.items():
            source = f"def attempt():\n    {attack.format(**places)}\n    return True\n"
            if _succeeds(sandbox, source):
                through.append(name)
        honest = _succeeds(sandbox, "import numpy\ndef attempt():\n    return bool(numpy.ones(3).sum() == 3)\n")
    return through if honest else [*through, "an honest program does not run"]


def _succeeds(sandbox: Sandbox, source: str) -> bool:
    try:
        with sandbox.start(source, ATTACK_LIMITS) as process:
            return process.call("attempt", []) is True
    except CandidateFailure:
        return False
