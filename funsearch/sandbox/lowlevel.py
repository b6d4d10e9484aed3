"""Linux's means of confinement through ctypes: no_new_privs, landlock, a seccomp allow-list, dropped privileges.

Stands on the standard library alone, because the confined worker loads it. x86-64 and aarch64; on anything else
`ARCH` is None and nothing here may be called.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable

# Numbers from the kernel's syscall tables: x86-64, aarch64; None where an architecture does without.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "access": (21, None), "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216), "mincore": (27, 232),
    "madvise": (28, 233), "dup": (32, 23), "nanosleep": (35, 101), "getpid": (39, 172), "socket": (41, 198),
    "connect": (42, 203), "bind": (49, 200), "clone": (56, 220), "execve": (59, 221), "exit": (60, 93),
    "uname": (63, 160), "fcntl": (72, 25), "getcwd": (79, 17), "readlink": (89, None), "gettimeofday": (96, 169),
    "getrlimit": (97, 163), "getrusage": (98, 165), "sysinfo": (99, 179), "times": (100, 153), "ptrace": (101, 117),
    "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173),
    "capset": (126, 91), "sigaltstack": (131, 132), "pivot_root": (155, 41), "chroot": (161, 51), "mount": (165, 40),
    "umount2": (166, 39), "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "getdents64": (217, 61), "restart_syscall": (219, 128), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "tgkill": (234, 131), "keyctl": (250, 219),
    "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48),
    "pselect6": (270, 72), "ppoll": (271, 73), "unshare": (272, 97), "set_robust_list": (273, 99),
    "perf_event_open": (298, 241), "prlimit64": (302, 261), "setns": (308, 268), "getcpu": (309, 168),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "seccomp": (317, 277), "getrandom": (318, 278),
    "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282), "membarrier": (324, 283),
    "statx": (332, 291), "rseq": (334, 293), "io_uring_setup": (425, 425), "clone3": (435, 435),
    "close_range": (436, 436), "pidfd_getfd": (438, 438), "faccessat2": (439, 439), "landlock_create": (444, 444),
    "landlock_add": (445, 445), "landlock_restrict": (446, 446),
}  # fmt: skip
_ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
ARCH = platform.machine() if sys.platform == "linux" and platform.machine() in _ARCHES else None

_ALWAYS = [
    "read",
    "write",
    "close",
    "fstat",
    "poll",
    "lseek",
    "mmap",
    "mprotect",
    "munmap",
    "brk",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "pread64",
    "readv",
    "writev",
    "select",
    "sched_yield",
    "mremap",
    "mincore",
    "madvise",
    "dup",
    "nanosleep",
    "getpid",
    "exit",
    "uname",
    "fcntl",
    "gettimeofday",
    "getrlimit",
    "getrusage",
    "sysinfo",
    "times",
    "getuid",
    "getgid",
    "geteuid",
    "getegid",
    "getppid",
    "sigaltstack",
    "gettid",
    "futex",
    "sched_getaffinity",
    "restart_syscall",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "exit_group",
    "pselect6",
    "ppoll",
    "set_robust_list",
    "getcpu",
    "getrandom",
    "membarrier",
    "rseq",
]
_FILES = [
    "open",
    "stat",
    "lstat",
    "access",
    "getcwd",
    "readlink",
    "getdents64",
    "openat",
    "newfstatat",
    "readlinkat",
    "faccessat",
    "faccessat2",
    "statx",
]
"""What reads files: harmless under landlock, left out without it."""
_ATTACKS = [
    "socket",
    "connect",
    "bind",
    "execve",
    "execveat",
    "ptrace",
    "pivot_root",
    "chroot",
    "mount",
    "umount2",
    "keyctl",
    "unshare",
    "setns",
    "perf_event_open",
    "process_vm_readv",
    "process_vm_writev",
    "bpf",
    "userfaultfd",
    "io_uring_setup",
    "pidfd_getfd",
]
"""No honest program comes near these: they end it at once, as VIOLATION."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x35, 0x06
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_libc = ctypes.CDLL(None, use_errno=True)


def number(name: str) -> int | None:
    """Returns a syscall's number on this machine, or None."""
    assert ARCH is not None
    return _NUMBERS[name][_ARCHES[ARCH][0]]


def _syscall(name: str, *args: object) -> int:
    nr = number(name)
    result = int(_libc.syscall(ctypes.c_long(nr or -1), *args))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), 0, 0, 0) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option}: {os.strerror(code)}")


def no_new_privileges() -> None:
    """Makes this process unable to gain privileges, and unreadable to others of its user."""
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, 9)


def close_from(lowest: int) -> None:
    """Closes all file descriptors from `lowest` on."""
    _syscall("close_range", ctypes.c_uint(lowest), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0))


def drop_to(uid: int) -> None:
    """Gives up root for an unprivileged user, without groups."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities() -> None:
    """Empties all capability sets."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _syscall("capset", header, (ctypes.c_uint32 * 6)())


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


def landlock_abi() -> int:
    """Returns the kernel's landlock version, 0 when there is none."""
    try:
        return _syscall("landlock_create", None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def landlock(readable: Iterable[str]) -> None:
    """Confines this process and its children to reading below the given paths; no writing, no TCP, no signals out.

    Raises:
        OSError: the kernel refuses.
    """
    abi = landlock_abi()
    filesystem = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    attributes = _RulesetAttr(filesystem, 3 if abi >= 4 else 0, 3 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    rules = _syscall("landlock_create", ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    read_file, read_folder = 4, 8
    for path in readable:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        allowed = read_file | read_folder if os.path.isdir(path) else read_file
        beneath = _PathBeneath(allowed, fd)
        _syscall("landlock_add", ctypes.c_int(rules), ctypes.c_int(1), ctypes.byref(beneath), ctypes.c_uint32(0))
        os.close(fd)
    _syscall("landlock_restrict", ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class SeccompFilter:
    """An allow-list of syscalls, made once and loaded in each child.

    What is not listed fails with EPERM; what no honest program calls kills the process.
    """

    def __init__(self, *, files: bool) -> None:
        """Builds the filter. `files` permits what opens files, for use beneath landlock."""
        assert ARCH is not None
        load_arch, load_number = _instruction(_LOAD, 0, 0, 4), _instruction(_LOAD, 0, 0, 0)
        program = [load_arch, _instruction(_JUMP_EQUAL, 1, 0, _ARCHES[ARCH][1]), _instruction(_RETURN, 0, 0, _KILL)]
        program += [
            load_number,
            _instruction(_JUMP_GREATER_EQUAL, 0, 1, 0x40000000),
            _instruction(_RETURN, 0, 0, _KILL),
        ]
        for name in [*_ALWAYS, *(_FILES if files else ())]:
            program += _answer(name, _ALLOW)
        for name in _ATTACKS:
            program += _answer(name, _KILL)
        program += _answer("clone3", _ERRNO | errno.ENOSYS)
        program += _read_only_prlimit()
        program += _terminal_ioctl()
        program.append(_instruction(_RETURN, 0, 0, _ERRNO | errno.EPERM))
        code = b"".join(program)
        self._buffer = ctypes.create_string_buffer(code, len(code))
        self._program = _Program(len(program), ctypes.addressof(self._buffer))

    def load(self) -> None:
        """Puts the filter on this process, for good."""
        _syscall("seccomp", ctypes.c_uint(1), ctypes.c_uint(0), ctypes.byref(self._program))


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value & 0xFFFFFFFF)


def _answer(name: str, action: int) -> list[bytes]:
    nr = number(name)
    return [] if nr is None else [_instruction(_JUMP_EQUAL, 0, 1, nr), _instruction(_RETURN, 0, 0, action)]


def _read_only_prlimit() -> list[bytes]:
    """Permits asking for the own limits (`prlimit64` with pid 0 and no new limit), which glibc does."""
    nr = number("prlimit64")
    assert nr is not None
    conditions = [(16, 0), (32, 0), (36, 0)]  # low word of the pid, both words of the new limit's address
    checks: list[bytes] = []
    for index, (offset, wanted) in enumerate(conditions):
        rest = 2 * (len(conditions) - index) - 1
        checks += [_instruction(_LOAD, 0, 0, offset), _instruction(_JUMP_EQUAL, 0, rest, wanted)]
    checks += [_instruction(_RETURN, 0, 0, _ALLOW), _instruction(_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    return [_instruction(_JUMP_EQUAL, 0, len(checks), nr), *checks]


def _terminal_ioctl() -> list[bytes]:
    """Permits what Python asks of a file descriptor when it opens it: is it a terminal, close it on exec."""
    nr = number("ioctl")
    assert nr is not None
    wanted = (0x5401, 0x5450, 0x5451)
    checks = [_instruction(_LOAD, 0, 0, 24)]
    checks += [_instruction(_JUMP_EQUAL, len(wanted) - index, 0, value) for index, value in enumerate(wanted)]
    checks += [_instruction(_RETURN, 0, 0, _ERRNO | errno.ENOTTY), _instruction(_RETURN, 0, 0, _ALLOW)]
    return [_instruction(_JUMP_EQUAL, 0, len(checks), nr), *checks]
