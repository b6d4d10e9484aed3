"""Allow-lists of system calls as BPF programs, for seccomp.

Programs are built only from tables, so those of any architecture can be built and examined on any machine.
"""

import errno
import struct
from collections.abc import Sequence

from funsearch.sandbox import syscalls
from funsearch.sandbox.syscalls import Architecture

LOAD, JUMP_EQUAL, JUMP_GREATER_EQUAL, JUMP_SET, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
KILL, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
NUMBER_OFFSET, ARCH_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16
"""Offsets in `struct seccomp_data`. Each argument takes eight bytes, low word first."""
X32_BIT = 0x40000000
CLONE_THREAD = 0x00010000

_FCNTL_COMMANDS = (0, 1, 2, 3, 1030)
"""Duplicating descriptors, getting and setting close-on-exec, getting flags. Not F_SETOWN and F_SETSIG, which send
signals."""
_IOCTL_REQUESTS = (0x5401, 0x5450, 0x5451)
"""TCGETS, FIONCLEX and FIOCLEX: Python checks for a terminal and sets close-on-exec."""


def worker_filter(arch: Architecture, *, files: bool) -> bytes:
    """Returns the filter of the worker, and so of every child. `files` permits opening files.

    Calls that are not listed fail with EPERM; calls that no honest program makes kill the process.
    """
    lines = [_line(LOAD, ARCH_OFFSET), _line(JUMP_EQUAL, arch.audit, 1, 0), _line(RETURN, KILL)]
    lines += [_line(LOAD, NUMBER_OFFSET), _line(JUMP_GREATER_EQUAL, X32_BIT, 0, 1), _line(RETURN, KILL)]
    for name in [*syscalls.CANDIDATE, *(syscalls.FILES if files else ()), *syscalls.WORKER]:
        lines += _answer(arch, name, ALLOW)
    for name in syscalls.ATTACKS:
        lines += _answer(arch, name, KILL)
    lines += _answer(arch, "clone3", ERRNO | errno.ENOSYS)  # glibc then uses clone, whose flags a filter can check
    lines += _one_of(arch, "fcntl", 1, _FCNTL_COMMANDS, errno.EPERM)
    lines += _one_of(arch, "ioctl", 1, _IOCTL_REQUESTS, errno.ENOTTY)
    return b"".join([*lines, _line(RETURN, ERRNO | errno.EPERM)])


def candidate_filter(arch: Architecture, *, threads: bool = False) -> bytes:
    """Returns the additional filter of a child, which denies the calls that only the worker needs.

    `threads` permits threads, but not processes. The program is short, because the kernel compiles it for each child.
    The worker's filter has already checked the architecture.
    """
    lines = [_line(LOAD, NUMBER_OFFSET)]
    for name in syscalls.WORKER:
        if name == "clone" and threads:
            lines += _threads_only(arch)
        elif name != "prlimit64":
            lines += _answer(arch, name, ERRNO | errno.EPERM)
    return b"".join([*lines, *_own_limits_only(arch), _line(RETURN, ALLOW)])


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _answer(arch: Architecture, name: str, action: int) -> list[bytes]:
    number = arch.number(name)
    return [] if number is None else [_line(JUMP_EQUAL, number, 0, 1), _line(RETURN, action)]


def _only_for(arch: Architecture, name: str, lines: list[bytes]) -> list[bytes]:
    """Returns lines that apply to a single system call; they must end in a decision."""
    number = arch.number(name)
    assert number is not None
    return [_line(JUMP_EQUAL, number, 0, len(lines)), *lines]


def _one_of(arch: Architecture, name: str, argument: int, values: Sequence[int], error: int) -> list[bytes]:
    """Permits a system call if its argument, of 32 bits, is among the values."""
    lines = [_line(LOAD, ARGUMENTS_OFFSET + 8 * argument)]
    lines += [_line(JUMP_EQUAL, value, len(values) - index, 0) for index, value in enumerate(values)]
    return _only_for(arch, name, [*lines, _line(RETURN, ERRNO | error), _line(RETURN, ALLOW)])


def _threads_only(arch: Architecture) -> list[bytes]:
    """Permits `clone` only for threads, which share memory and signal handlers with their process."""
    flags = _line(LOAD, ARGUMENTS_OFFSET)
    return _only_for(
        arch,
        "clone",
        [flags, _line(JUMP_SET, CLONE_THREAD, 0, 1), _line(RETURN, ALLOW), _line(RETURN, ERRNO | errno.EPERM)],
    )


def _own_limits_only(arch: Architecture) -> list[bytes]:
    """Permits a process to get its own limits (`prlimit64` with pid 0 and no new limit), as glibc does."""
    # The pid, and both halves of the address of the new limit.
    words = [ARGUMENTS_OFFSET, ARGUMENTS_OFFSET + 16, ARGUMENTS_OFFSET + 20]
    lines = []
    for index, word in enumerate(words):
        lines += [_line(LOAD, word), _line(JUMP_EQUAL, 0, 0, 2 * (len(words) - index) - 1)]
    return _only_for(arch, "prlimit64", [*lines, _line(RETURN, ALLOW), _line(RETURN, ERRNO | errno.EPERM)])
