"""Levels of confinement: which ones this machine supports, and a self-test by attacks that the chosen one holds."""

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
"""Reasons why levels are unavailable, as found in this process; empty for available levels."""


def open_sandbox(level: str = "auto", *, unsafe: bool = False) -> Sandbox:
    """Opens a sandbox at a level, or at the best level that this machine supports (`auto`).

    Args:
        level: auto, L3, L2 or L1.
        unsafe: permits level `none`, which confines nothing, if no other level is available.

    Raises:
        SandboxError: the level is unavailable, or an attack of the self-test succeeded.
    """
    if level == "none" and unsafe:
        return ForkSandbox(UNCONFINED)
    if level != "auto" and level not in LEVELS:
        raise SandboxError(f"There is no sandbox level {level}: choose from auto, {', '.join(LEVELS)}.")
    names = LEVELS if level == "auto" else [level]
    for name in names:
        sandbox = _try_to_open(LEVELS[name])
        if sandbox is not None:
            return sandbox
    if level == "auto" and unsafe:
        return ForkSandbox(UNCONFINED)
    if level != "auto":
        raise SandboxError(
            f"Sandbox level {level} is unavailable: {_reasons[level]}. Choose another level with --sandbox; "
            "`funsearch doctor` lists them."
        )
    reasons = "; ".join(f"{name}: {_reasons[name]}" for name in names)
    raise SandboxError(
        f"Candidates cannot be confined on this machine ({reasons}). Run in the container image, or accept the risk "
        "with --unsafe-no-sandbox."
    )


def available_levels() -> dict[str, str]:
    """Returns the reason why each level is unavailable, best level first; empty for available levels."""
    for level in LEVELS.values():
        if level.name not in _reasons and (sandbox := _try_to_open(level)) is not None:
            sandbox.close()
    return {name: _reasons[name] for name in LEVELS}


def self_test(sandbox: Sandbox) -> list[str]:
    """Runs attacks in the sandbox and returns those that succeed, ideally none."""
    return attempts_that_succeed(sandbox)


def _try_to_open(level: Level) -> ForkSandbox | None:
    """Returns a sandbox that passed the self-test, or None and records the reason."""
    recorded = _reasons.get(level.name)
    reason = _missing(level) if recorded is None else recorded
    if not reason:
        try:
            sandbox = ForkSandbox(level)
        except SandboxError as error:
            reason = str(error)
        else:
            if recorded is None and (attacks := self_test(sandbox)):
                reason = f"these attacks succeeded in the self-test: {', '.join(attacks)}"
            if not reason:
                _reasons[level.name] = ""
                return sandbox
            sandbox.close()
    _reasons[level.name] = reason
    return None


def _missing(level: Level) -> str:
    """Returns what this machine lacks for a level, as far as can be determined without starting it."""
    if syscalls.architecture() is None:
        return f"needs Linux on x86-64 or aarch64, but this is {platform.system()} on {platform.machine()}"
    if level.landlock and not lowlevel.landlock_version():
        return "needs landlock in the kernel (Linux 5.13 or newer, CONFIG_SECURITY_LANDLOCK, permitted in containers)"
    if level.namespaces:
        return namespaces.missing()
    return ""
