"""Levels of confinement: which this machine can give, and the proof by attacks that the one chosen holds."""

import platform

from funsearch.core.ports import Sandbox
from funsearch.errors import SandboxError
from funsearch.sandbox import lowlevel, namespaces, syscalls
from funsearch.sandbox.attacks import attempts_that_succeed
from funsearch.sandbox.engine import ForkSandbox
from funsearch.sandbox.process import Level

UNCONFINED = Level("none", confined=False, landlock=False)
LEVELS = {
    level.name: level
    for level in (Level("L3", namespaces=True), Level("L2"), Level("L1", landlock=False))  # best first
}

_reasons: dict[str, str] = {}
"""Why levels cannot be had, as far as was found out in this process; nothing when they can."""


def open_sandbox(level: str = "auto", *, unsafe: bool = False) -> Sandbox:
    """Returns a sandbox of the level, or of the best one this machine gives (`auto`).

    Args:
        level: auto, L3, L2 or L1.
        unsafe: permits level `none`, which confines nothing, when nothing better can be had.

    Raises:
        SandboxError: the level cannot be had, or an attack got through.
    """
    if level == "none" and unsafe:
        return ForkSandbox(UNCONFINED)
    if level != "auto" and level not in LEVELS:
        raise SandboxError(f"There is no sandbox level {level}: choose from auto, {', '.join(LEVELS)}.")
    wanted = LEVELS if level == "auto" else [level]
    for name in wanted:
        sandbox = _try_to_open(LEVELS[name])
        if sandbox is not None:
            return sandbox
    if level == "auto" and unsafe:
        return ForkSandbox(UNCONFINED)
    why = "; ".join(f"{name}: {_reasons[name]}" for name in wanted)
    if level != "auto":
        raise SandboxError(f"Sandbox level {why}. Choose another with --sandbox; `funsearch doctor` lists them.")
    raise SandboxError(
        f"Candidates cannot be confined on this machine ({why}). Run in the container image, or accept the risk "
        "with --unsafe-no-sandbox."
    )


def available_levels() -> dict[str, str]:
    """Returns each level, best first, with the reason why it cannot be had; an empty reason means it can."""
    for level in LEVELS.values():
        if level.name not in _reasons and (sandbox := _try_to_open(level)) is not None:
            sandbox.close()
    return {name: _reasons[name] for name in LEVELS}


def self_test(sandbox: Sandbox) -> list[str]:
    """Returns which attacks get through, run for real in the sandbox; none is what one hopes for."""
    return attempts_that_succeed(sandbox)


def _try_to_open(level: Level) -> ForkSandbox | None:
    """Returns a sandbox that held when it was attacked, or None and keeps the reason."""
    known = _reasons.get(level.name)
    reason = _missing(level) if known is None else known
    if not reason:
        try:
            sandbox = ForkSandbox(level)
        except SandboxError as error:
            reason = str(error)
        else:
            if known is None and (through := self_test(sandbox)):
                reason = f"in its self-test these attacks got through: {', '.join(through)}"
            if not reason:
                _reasons[level.name] = ""
                return sandbox
            sandbox.close()
    _reasons[level.name] = reason
    return None


def _missing(level: Level) -> str:
    """Returns what this machine lacks for a level, as far as one can say without trying."""
    if syscalls.architecture() is None:
        return f"needs Linux on x86-64 or aarch64, this is {platform.system()} on {platform.machine()}"
    if level.landlock and not lowlevel.landlock_version():
        return "needs landlock in the kernel (Linux 5.13 or newer, CONFIG_SECURITY_LANDLOCK, permitted in containers)"
    if level.namespaces:
        return namespaces.missing()
    return ""
