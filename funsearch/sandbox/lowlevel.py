"""Linux's confinement mechanisms through ctypes: no_new_privs, landlock, seccomp, dropping privileges.

Imports only the standard library, because the confined worker loads this module. Knows nothing about what is confined.
Nothing here may be called where `syscalls.architecture()` is None.
"""

import ctypes
import functools
import os
from collections.abc import Iterable

from funsearch.sandbox import syscalls

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SIGKILL = 9
_CAPABILITY_VERSION_3 = 0x20080522
_SECCOMP_SET_MODE_FILTER = 1
_LANDLOCK_CREATE_RULESET_VERSION, _LANDLOCK_RULE_PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIR = 4, 8


@functools.cache
def _libc() -> ctypes.CDLL:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    library.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return library


def _checked(name: str, result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _syscall(name: str, *args: object) -> int:
    arch = syscalls.architecture()
    assert arch is not None
    return _checked(name, _libc().syscall(ctypes.c_long(arch.number(name) or -1), *args))


def _prctl(option: int, value: int) -> None:
    _checked(f"prctl {option}", _libc().prctl(option, value, 0, 0, 0))


def no_new_privileges() -> None:
    """Makes this process unable to gain privileges, and unreadable to other processes of its user."""
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Has the kernel kill this process when the thread that forked it ends."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def drop_to(uid: int) -> None:
    """Changes from root to an unprivileged user without groups.

    Raises:
        OSError: this is not permitted, or the user is not mapped in this user namespace.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities() -> None:
    """Empties all capability sets."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _syscall("capset", header, (ctypes.c_uint32 * 6)())


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("fd", ctypes.c_int32))


def landlock_version() -> int:
    """Returns the kernel's version of landlock, or 0 if it has none."""
    try:
        return _syscall(
            "landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION)
        )
    except OSError:
        return 0


def landlock(listable: Iterable[str], readable: Iterable[str]) -> None:
    """Confines this process and its children to listing and reading beneath the given paths.

    They cannot write, and as far as the kernel supports it, cannot use TCP, abstract sockets and signals to processes
    outside.

    Raises:
        OSError: the kernel refuses.
    """
    version = landlock_version()
    filesystem = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = _RulesetAttr(filesystem, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = _syscall("landlock_create_ruleset", ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in listable:
        _allow(rules, path, _READ_DIR)
    for path in readable:
        _allow(rules, path, _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE)
    _syscall("landlock_restrict_self", ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)


def _allow(rules: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # A path that this user cannot open needs no permission.
    beneath = _PathBeneath(access, fd)
    kind = ctypes.c_int(_LANDLOCK_RULE_PATH_BENEATH)
    _syscall("landlock_add_rule", ctypes.c_int(rules), kind, ctypes.byref(beneath), ctypes.c_uint32(0))
    os.close(fd)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class SeccompFilter:
    """A seccomp program in memory, ready to be loaded by this process or its children."""

    def __init__(self, program: bytes) -> None:
        self._buffer = ctypes.create_string_buffer(program, len(program))
        self._program = _Program(len(program) // 8, ctypes.addressof(self._buffer))

    def load(self) -> None:
        """Applies the filter to this process, irrevocably."""
        flags = ctypes.c_uint(0)
        _syscall("seccomp", ctypes.c_uint(_SECCOMP_SET_MODE_FILTER), flags, ctypes.byref(self._program))
