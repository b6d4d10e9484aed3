"""Separate Linux namespaces for the worker, through bubblewrap."""

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
    """Returns why namespaces are unavailable; empty if they are available."""
    if shutil.which(PROGRAM) is None:
        return "needs bubblewrap: install the package `bubblewrap`"
    trial = [*command(), sys.executable, "-I", "-S", "-c", ""]
    try:
        result = subprocess.run(trial, capture_output=True, text=True, timeout=TRIAL_SECONDS, env={}, cwd="/")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here: {error}"
    lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
    return f"bubblewrap does not work here: {lines[-1]}" if result.returncode else ""


def command() -> list[str]:
    """Returns the prefix of a command that runs it without network and with processes and files of its own."""
    program = shutil.which(PROGRAM)
    assert program is not None
    root = ["--tmpfs", "/"]
    for path in [*_SYSTEM, *_interpreter()]:
        root += ["--ro-bind-try", path, path]
    root += ["--proc", "/proc", "--dev", "/dev", "--remount-ro", "/", "--chdir", "/"]
    # Not --die-with-parent: it would kill the worker at the end of the thread that started it.
    return [program, *_APART.split(), *root, "--"]


def _interpreter() -> list[str]:
    """Returns the folders of Python, of the packages that the worker imports, and of the worker itself."""
    prefixes = [sys.prefix, sys.base_prefix, *map(os.path.realpath, (sys.prefix, sys.base_prefix))]
    packages = [str(Path(str(module.__file__)).parent.parent) for module in (np, msgpack)]
    paths = dict.fromkeys([*prefixes, *packages, str(Path(__file__).parent)])
    return [path for path in paths if path not in ("/", "/usr")]
