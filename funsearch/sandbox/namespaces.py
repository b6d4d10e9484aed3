"""Namespaces of their own for the worker, through bubblewrap."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgpack
import numpy as np

PROGRAM = "bwrap"
TRIAL_SECONDS = 10.0
_APART = "--unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try --cap-drop ALL"
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache")


def missing() -> str:
    """Returns why namespaces cannot be had, nothing when they can."""
    if shutil.which(PROGRAM) is None:
        return "needs bubblewrap: install the package `bubblewrap`"
    trial = [*command(), sys.executable, "-I", "-S", "-c", ""]
    try:
        tried = subprocess.run(trial, capture_output=True, text=True, timeout=TRIAL_SECONDS, env={}, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here: {error}"
    said = tried.stderr.strip().splitlines() or [f"exit status {tried.returncode}"]
    return f"bubblewrap does not work here: {said[-1]}" if tried.returncode else ""


def command() -> list[str]:
    """Returns what to put in front of a command, to run it where there is no network, process or file but its own."""
    program = shutil.which(PROGRAM)
    assert program is not None
    root = ["--tmpfs", "/"]
    for path in [*_SYSTEM, *_interpreter()]:
        root += ["--ro-bind-try", path, path]
    root += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--chdir", "/"]
    # Not --die-with-parent: it would take the end of the thread that started the worker for the engine's.
    return [program, *_APART.split(), *root, "--"]


def _interpreter() -> list[str]:
    """Returns the folders that Python, what the worker imports, and the worker itself lie in."""
    prefixes = [sys.prefix, sys.base_prefix, *map(os.path.realpath, (sys.prefix, sys.base_prefix))]
    packages = [str(Path(str(module.__file__)).parent.parent) for module in (np, msgpack)]
    wanted = dict.fromkeys([*prefixes, *packages, str(Path(__file__).parent)])
    return [path for path in wanted if path not in ("/", "/usr")]
