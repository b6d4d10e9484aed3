"""The same corpus with other privileges: as an ordinary user, and under the filter of a default container."""

import errno
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from funsearch.sandbox import lowlevel, seccomp, syscalls

HERE = Path(__file__).parent
UNPRIVILEGED = 65534
CORPUS = [str(HERE / name) for name in ("test_hostile.py", "test_honest.py", "test_forgery.py")]
REFUSED_IN_CONTAINERS = [
    *("mount", "umount2", "unshare", "setns", "pivot_root", "bpf", "perf_event_open", "add_key"),
    *("request_key", "keyctl", "userfaultfd", "io_uring_setup"),
]
"""Calls in our tables that default container profiles refuse because they require administrative capabilities."""
NEW_NAMESPACES = 0x7E020000
"""Flags of `clone` that create namespaces."""


def run_corpus(name: str, **options: object) -> None:
    """Runs the corpus in a separate process, which must pass and must not skip everything."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:xdist", *CORPUS]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "LOGNAME": name}  # LOGNAME names the temporary folder.
    environment.pop("PYTEST_ADDOPTS", None)
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=HERE.parent.parent, env=environment, **options
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-1000:]
    assert result.stdout.count(".") > 500, result.stdout[-3000:]


def test_corpus_is_contained_by_an_ordinary_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    if os.geteuid() != 0:
        pytest.skip("all of these tests run as an ordinary user already")
    trial = [sys.executable, "-c", "import numpy, pytest, funsearch.sandbox.levels"]
    try:
        subprocess.run(
            trial,
            user=UNPRIVILEGED,
            group=UNPRIVILEGED,
            extra_groups=[],
            check=True,
            capture_output=True,
            cwd=HERE.parent.parent,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"an ordinary user cannot run {sys.executable} with the required packages")
    run_corpus("corpus-unprivileged", user=UNPRIVILEGED, group=UNPRIVILEGED, extra_groups=[])


def container_filter(arch: syscalls.Architecture) -> lowlevel.SeccompFilter:
    """Returns a filter that permits everything except the calls that default containers refuse."""
    refuse = seccomp.RETURN, 0, 0, seccomp.ERRNO | errno.EPERM
    lines = [(seccomp.LOAD, 0, 0, seccomp.NUMBER_OFFSET)]
    for name in REFUSED_IN_CONTAINERS:
        lines += [(seccomp.JUMP_EQUAL, 0, 1, arch.number(name) or 0), refuse]
    lines += [(seccomp.JUMP_EQUAL, 0, 1, arch.number("clone3") or 0)]
    lines += [(seccomp.RETURN, 0, 0, seccomp.ERRNO | errno.ENOSYS)]
    lines += [(seccomp.JUMP_EQUAL, 0, 3, arch.number("clone") or 0)]
    lines += [(seccomp.LOAD, 0, 0, seccomp.ARGUMENTS_OFFSET), (seccomp.JUMP_SET, 0, 1, NEW_NAMESPACES), refuse]
    lines += [(seccomp.RETURN, 0, 0, seccomp.ALLOW)]
    return lowlevel.SeccompFilter(b"".join(struct.pack("=HBBI", *line) for line in lines))


def test_corpus_is_contained_in_a_default_container() -> None:
    arch = syscalls.architecture()
    if arch is None:
        pytest.skip("there is no system-call table for this machine")
    profile = container_filter(arch)

    def enter() -> None:
        lowlevel.no_new_privileges()
        profile.load()

    run_corpus("corpus-container", preexec_fn=enter)
