"""Tables of the kernel's system-call numbers, and of the calls that candidates and the worker may make."""

import platform
import sys
from dataclasses import dataclass

# name: x86-64, aarch64; None where an architecture does not have the call.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "open": (2, None), "close": (3, 57), "stat": (4, None), "fstat": (5, 80),
    "lstat": (6, None), "poll": (7, None), "lseek": (8, 62), "mmap": (9, 222), "mprotect": (10, 226),
    "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67), "readv": (19, 65), "writev": (20, 66),
    "access": (21, None), "select": (23, None), "sched_yield": (24, 124), "mremap": (25, 216), "mincore": (27, 232),
    "madvise": (28, 233), "dup": (32, 23), "dup2": (33, None), "nanosleep": (35, 101), "getpid": (39, 172),
    "socket": (41, 198), "connect": (42, 203), "sendto": (44, 206), "recvfrom": (45, 207), "sendmsg": (46, 211),
    "recvmsg": (47, 212), "bind": (49, 200), "clone": (56, 220), "execve": (59, 221), "exit": (60, 93),
    "wait4": (61, 260), "kill": (62, 129), "uname": (63, 160), "fcntl": (72, 25), "getcwd": (79, 17),
    "readlink": (89, None), "gettimeofday": (96, 169), "getrlimit": (97, 163), "getrusage": (98, 165),
    "sysinfo": (99, 179), "times": (100, 153), "ptrace": (101, 117), "getuid": (102, 174), "getgid": (104, 176),
    "geteuid": (107, 175), "getegid": (108, 177), "getppid": (110, 173), "setsid": (112, 157), "capset": (126, 91),
    "sigaltstack": (131, 132), "pivot_root": (155, 41), "prctl": (157, 167), "chroot": (161, 51), "mount": (165, 40),
    "umount2": (166, 39), "gettid": (186, 178), "futex": (202, 98), "sched_setaffinity": (203, 122),
    "sched_getaffinity": (204, 123), "getdents64": (217, 61), "restart_syscall": (219, 128),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "tgkill": (234, 131), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "openat": (257, 56),
    "newfstatat": (262, 79), "readlinkat": (267, 78), "faccessat": (269, 48), "pselect6": (270, 72),
    "ppoll": (271, 73), "unshare": (272, 97), "set_robust_list": (273, 99), "dup3": (292, 24), "pipe2": (293, 59),
    "perf_event_open": (298, 241), "prlimit64": (302, 261), "setns": (308, 268), "getcpu": (309, 168),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "seccomp": (317, 277), "getrandom": (318, 278),
    "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282), "membarrier": (324, 283),
    "statx": (332, 291), "rseq": (334, 293), "io_uring_setup": (425, 425), "pidfd_open": (434, 434),
    "clone3": (435, 435), "close_range": (436, 436), "pidfd_getfd": (438, 438), "faccessat2": (439, 439),
    "landlock_create_ruleset": (444, 444), "landlock_add_rule": (445, 445), "landlock_restrict_self": (446, 446),
}  # fmt: skip


def _names(text: str) -> list[str]:
    return text.split()


CANDIDATE = _names("""
    read write close fstat poll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 readv
    writev select sched_yield mremap mincore madvise dup nanosleep getpid exit uname gettimeofday getrlimit getrusage
    sysinfo times getuid getgid geteuid getegid getppid sigaltstack gettid futex sched_getaffinity restart_syscall
    clock_gettime clock_getres clock_nanosleep exit_group pselect6 ppoll set_robust_list getcpu getrandom membarrier
    rseq
""")
"""Calls that a candidate may make unconditionally."""

FILES = _names("""
    open stat lstat access getcwd readlink getdents64 openat newfstatat readlinkat faccessat faccessat2 statx
""")
"""Calls that open and examine files: restricted by landlock, and not permitted without it."""

WORKER = _names("""
    sendto recvfrom sendmsg recvmsg pipe2 clone wait4 kill setsid dup2 dup3 prctl prlimit64 pidfd_open close_range
    seccomp sched_setaffinity
""")
"""Calls that the worker needs in addition, to fork and watch children; each child gives them up."""

ATTACKS = _names("""
    socket connect bind execve execveat ptrace pivot_root chroot mount umount2 add_key request_key keyctl unshare setns
    perf_event_open process_vm_readv process_vm_writev bpf userfaultfd io_uring_setup pidfd_getfd
""")
"""Calls that no honest program makes: they end the program immediately, with status VIOLATION."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One column of the table."""

    name: str
    column: int
    audit: int
    """The kernel's AUDIT_ARCH constant, as passed to filters."""

    def number(self, syscall: str) -> int | None:
        """Returns the number of a system call, or None if this architecture does not have it."""
        return NUMBERS[syscall][self.column]


ARCHITECTURES = {
    "x86_64": Architecture("x86_64", 0, 0xC000003E),
    "aarch64": Architecture("aarch64", 1, 0xC00000B7),
}


def architecture() -> Architecture | None:
    """Returns the architecture of this machine, or None if candidates cannot be confined on it."""
    return ARCHITECTURES.get(platform.machine()) if sys.platform == "linux" else None
