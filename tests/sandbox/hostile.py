"""Hostile programs, grouped by target. Each has a function `f`, which returns LEAKED if the attack succeeds.

A program is the body of `f`, or a whole module after `MODULE`. `$SECRET`, `$FOLDER`, `$ENGINE` and `$PORT` stand for a
file that all users can read and write, its folder, the engine's process id, and a TCP port with a listening server.
"""

import textwrap
from dataclasses import dataclass

from funsearch.core.records import Status

LEAKED = "LEAKED"
REFUSED = {Status.RUNTIME_ERROR, Status.VIOLATION}
"""The kernel refuses: the program gets an exception, or is killed."""
CRASHED = {Status.CRASH, Status.RUNTIME_ERROR, Status.VIOLATION, Status.MEMORY}


@dataclass(frozen=True)
class Hostile:
    """A program and the statuses that count as containment; None stands for a returned value other than LEAKED."""

    source: str
    contained: frozenset[Status | None]


def _sources(text: str) -> dict[str, str]:
    """Returns the programs in a text, each of which begins with a line `## name`."""
    programs = {}
    for part in text.split("## ")[1:]:
        name, _, body = part.partition("\n")
        body = textwrap.dedent(body)
        if body.startswith("MODULE\n"):
            programs[name] = body.removeprefix("MODULE\n")
        else:
            programs[name] = "def f():\n" + textwrap.indent(body, "    ")
    return programs


TIME = """
## loops
while True: pass
## loops while it is loaded
MODULE
while True: pass
## sleeps
import time
time.sleep(100)
## swallows every exception
while True:
    try:
        while True: pass
    except BaseException: pass
## ignores every signal
import signal
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass
## computes a power in C
return len(str(10 ** 10 ** 8))
## backtracks in a regular expression
import re
return bool(re.match("(a+)+$", "a" * 60 + "b"))
## recurses exponentially
fib = lambda n: n if n < 2 else fib(n - 1) + fib(n - 2)
return fib(60)
## exhausts an endless iterator
import itertools
return sum(itertools.cycle([0]))
## multiplies matrices forever
import numpy as np
a = np.ones((300, 300))
while True: a = a @ a / 300
## deadlocks with itself
import threading
lock = threading.Lock()
lock.acquire()
lock.acquire()
## waits for no event
import select
select.select([], [], [])
## sorts by a slow key
return sorted(range(10**4), key=lambda x: sum(range(10**6)))
## takes forever to compare
class Slow:
    def __eq__(self, other):
        while True: pass
    __hash__ = lambda self: 1
return {Slow(): 1, Slow(): 2}
## loops in its finalizer
class Last:
    def __del__(self):
        while True: pass
Last()
## loops when it is printed
class Bad(Exception):
    def __str__(self):
        while True: pass
raise Bad
## loops when its output is flushed
import os, sys
class Loop:
    def flush(self):
        while True: pass
    def write(self, text): pass
sys.stdout = sys.stderr = Loop()
while True: pass
"""

MEMORY = """
## allocates a lot at once
return len(bytearray(1 << 34))
## allocates bit by bit
a = []
while True: a.append("x" * (1 << 24))
## doubles a list
a = [0]
while True: a += a
## multiplies a string
return len("x" * (1 << 36))
## allocates in numpy
import numpy as np
return float(np.ones((10**5, 10**5)).sum())
## fills a dictionary
d, n = {}, 0
while True:
    d[n] = "y" * 100000
    n += 1
## maps memory
import mmap
return len([mmap.mmap(-1, 1 << 28).write(b"x" * (1 << 28)) for _ in range(16)])
## shifts an integer
return (1 << (1 << 36)).bit_length()
## joins bytes
return len(b"".join([b"x" * (1 << 28)] * 64))
## keeps the exceptions that it catches
kept = []
while True:
    try:
        kept.append(bytearray(1 << 20))
        1 / 0
    except ZeroDivisionError: pass
## allocates through ctypes
import ctypes
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
if libc.malloc(1 << 34): return "LEAKED"
raise MemoryError
## nests generators
g = iter([])
while True: g = (x for x in [g, bytearray(1 << 16)])
"""

OUTPUT = """
## prints forever
while True: print("x" * 1000)
## prints errors forever
import sys
while True: sys.stderr.write("x" * 1000)
## writes to its output forever
import os
while True: os.write(1, b"x" * 1000)
## writes to its errors forever
import os
while True: os.write(2, b"x" * 1000)
## prints one long line
print("x" * 10**7)
while True: pass
## prints while it is loaded
MODULE
while True: print("x" * 1000)
## prints through another name
import sys
while True: sys.__stdout__.buffer.raw.write(b"x" * 1000)
"""

CRASH = """
## reads address zero
import ctypes
ctypes.string_at(0)
## overflows its stack
import sys
sys.setrecursionlimit(10**8)
f2 = lambda x: f2(x + 1)
f2(0)
## aborts
import os
os.abort()
## raises a signal
import signal
signal.raise_signal(11)
## kills itself
import os
os.kill(os.getpid(), 9)
## runs broken bytecode
exec((lambda: 1).__code__.replace(co_code=b"\\x64\\xff" * 20))
raise ValueError
## loads broken bytecode
import marshal
marshal.loads(b"\\xe3" + b"\\xff" * 200)
## overwrites its interpreter
import ctypes
ctypes.memset(id(None), 255, 64)
## frees memory that it does not own
import ctypes
ctypes.CDLL(None).free(12345)
## nests too deeply to be printed
a = []
for _ in range(10**5): a = [a]
return repr(a)
"""

EXIT = """
## exits
import sys
sys.exit(0)
## exits with a message
import sys
sys.exit("score: 1000000")
## exits hard
import os
os._exit(0)
## exits hard while it is loaded
MODULE
import os
os._exit(0)
## exits while it is loaded
MODULE
raise SystemExit(0)
## calls exit
exit(0)
## is interrupted
raise KeyboardInterrupt
## raises GeneratorExit
raise GeneratorExit
## raises an object that is not an exception
raise type("Odd", (BaseException,), {})
## raises an exception that cannot be shown
class E(Exception):
    def __str__(self): raise E
    __repr__ = __str__
raise E
## raises an object that lies about its class
class E(Exception):
    __class__ = property(lambda self: SystemExit)
raise E
## replaces the exit
import os
os._exit = lambda code: None
raise ValueError
"""

PROCESSES = """
## forks
import os
if os.fork() == 0: os._exit(0)
return "LEAKED"
## forks through ctypes
import ctypes
if ctypes.CDLL(None).fork() < 0: raise OSError
return "LEAKED"
## forks by number
import ctypes
libc = ctypes.CDLL(None)
import platform
number = {"x86_64": 58, "aarch64": 220}[platform.machine()]
if libc.syscall(number, 17, 0, 0, 0, 0) < 0: raise OSError
return "LEAKED"
## starts a thread
import threading
threading.Thread(target=print).start()
return "LEAKED"
## starts a bare thread
import _thread
_thread.start_new_thread(print, ())
return "LEAKED"
## uses a pool of threads
from concurrent.futures import ThreadPoolExecutor
return "LEAKED" if list(ThreadPoolExecutor(2).map(abs, [1])) == [1] else None
## uses multiprocessing
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=print)
process.start()
return "LEAKED"
## runs a program
import subprocess
return "LEAKED" if subprocess.run(["/bin/true"]).returncode == 0 else None
## runs a command
import os
if os.system("true") == 0: return "LEAKED"
raise OSError
## opens a pipe to a command
import os
return "LEAKED" if os.popen("echo x").read() == "x\\n" else None
## spawns
import os
os.posix_spawn("/bin/true", ["true"], {})
return "LEAKED"
## becomes another program
import os
os.execv("/bin/true", ["true"])
## becomes another program by descriptor
import os
os.execve(os.open("/bin/true", os.O_RDONLY), ["true"], {})
## kills the engine
import os
os.kill($ENGINE, 9)
return "LEAKED"
## checks that the engine exists
import os
os.kill($ENGINE, 0)
return "LEAKED"
## kills its parent
import os
os.kill(os.getppid(), 9)
return "LEAKED"
## kills all processes
import os
os.kill(-1, 9)
return "LEAKED"
## kills its group
import os
os.killpg(0, 9)
return "LEAKED"
## kills by descriptor
import os, signal
signal.pidfd_send_signal(os.pidfd_open($ENGINE), 9)
return "LEAKED"
## kills by a thread's number
import ctypes
if ctypes.CDLL(None).syscall(200, $ENGINE, 9) < 0: raise OSError
return "LEAKED"
## traces the engine
import ctypes
if ctypes.CDLL(None).ptrace(16, $ENGINE, 0, 0) < 0: raise OSError
return "LEAKED"
## reads the engine's memory
import ctypes
if ctypes.CDLL(None).process_vm_readv($ENGINE, 0, 0, 0, 0, 0) < 0: raise OSError
return "LEAKED"
## leaves its session
import os
os.setsid()
return "LEAKED"
## takes the other processors
import os
os.sched_setaffinity(0, {0})
return "LEAKED"
## raises its priority
import os
os.setpriority(os.PRIO_PROCESS, 0, -20)
return "LEAKED"
## raises its limits
import resource
for limit in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NOFILE):
    resource.setrlimit(limit, (resource.RLIM_INFINITY,) * 2)
return "LEAKED"
## raises the engine's limits
import resource
resource.prlimit($ENGINE, resource.RLIMIT_CPU, (1, 1))
return "LEAKED"
## becomes root
import os
os.setuid(0)
os.setresuid(0, 0, 0)
return "LEAKED"
## makes a namespace
import ctypes
if ctypes.CDLL(None).unshare(0x10000000) < 0: raise OSError
return "LEAKED"
## mounts
import ctypes
if ctypes.CDLL(None).mount(b"none", b"/tmp", b"tmpfs", 0, None) < 0: raise OSError
return "LEAKED"
## loads a program into the kernel
import ctypes
if ctypes.CDLL(None).syscall(321, 0, 0, 0) < 0: raise OSError
return "LEAKED"
## asks the kernel for a key
import ctypes
if ctypes.CDLL(None).syscall(250, 0, -3, 1) < 0: raise OSError
return "LEAKED"
## uses the calls of 32-bit programs
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(b"\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3")  # getpid by int 0x80
import platform
if platform.machine() != "x86_64": raise OSError
return "LEAKED" if ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() > 0 else None
## uses io_uring
import ctypes
if ctypes.CDLL(None).syscall(425, 1, None) < 0: raise OSError
return "LEAKED"
"""

FILES = """
## reads a secret
return "LEAKED" if open("$SECRET").read() else None
## reads a secret by descriptor
import os
return "LEAKED" if os.read(os.open("$SECRET", os.O_RDONLY), 10) else None
## reads a secret in numpy
import numpy as np
return "LEAKED" if len(np.fromfile("$SECRET", np.uint8)) else None
## maps a secret in numpy
import numpy as np
return "LEAKED" if len(np.memmap("$SECRET", np.uint8, "r")) else None
## reads a secret as source
import linecache
if not linecache.getline("$SECRET", 1): raise OSError
return "LEAKED"
## reads a secret as a module
from importlib.machinery import SourceFileLoader
return "LEAKED" if SourceFileLoader("x", "$SECRET").get_data("$SECRET") else None
## reads a secret by a long path
import os
return "LEAKED" if open(os.path.dirname(os.__file__) + "/../" * 20 + "$SECRET").read() else None
## reads a secret through libc
import ctypes
if ctypes.CDLL(None).open(b"$SECRET", 0) < 0: raise OSError
return "LEAKED"
## reads a secret through its own descriptors
import os
return "LEAKED" if open("/proc/self/root$SECRET").read() else None
## overwrites a secret
open("$SECRET", "w").write("")
return "LEAKED"
## appends to a secret
open("$SECRET", "a").write("x")
return "LEAKED"
## truncates a secret
import os
os.truncate("$SECRET", 0)
return "LEAKED"
## removes a secret
import os
os.remove("$SECRET")
return "LEAKED"
## moves a secret
import os
os.rename("$SECRET", "$SECRET.gone")
return "LEAKED"
## links to a secret
import os
os.link("$SECRET", "$FOLDER/link")
return "LEAKED"
## changes a file's permissions
import os
os.chmod("$SECRET", 0)
return "LEAKED"
## changes a file's time
import os
os.utime("$SECRET", (0, 0))
return "LEAKED"
## makes a file
open("$FOLDER/made", "w").write("x")
return "LEAKED"
## makes a folder
import os
os.mkdir("$FOLDER/made")
return "LEAKED"
## makes a link
import os
os.symlink("/", "$FOLDER/made")
return "LEAKED"
## makes a pipe
import os
os.mkfifo("$FOLDER/made")
return "LEAKED"
## makes a temporary file
import tempfile
tempfile.TemporaryFile().write(b"x")
return "LEAKED"
## makes a file in shared memory
open("/dev/shm/funsearch-made", "w").write("x")
return "LEAKED"
## makes a file in memory
import os
os.write(os.memfd_create("x"), b"x")
return "LEAKED"
## makes a database
import sqlite3
sqlite3.connect("$FOLDER/made.db").execute("create table t (x)")
return "LEAKED"
## lists a folder
import os
return "LEAKED" if os.listdir("$FOLDER") else None
## lists the root
import os
return "LEAKED" if os.listdir("/home") is not None else None
## walks upwards
import os
os.chdir("$FOLDER")
return "LEAKED"
## reads the users
return "LEAKED" if open("/etc/passwd").read() else None
## reads the passwords
return "LEAKED" if open("/etc/shadow").read() else None
## reads the file of its environment
return "LEAKED" if open("/proc/self/environ", "rb").read() else None
## reads the engine's environment
return "LEAKED" if open("/proc/$ENGINE/environ", "rb").read() else None
## reads the engine's command
return "LEAKED" if open("/proc/$ENGINE/cmdline", "rb").read() else None
## opens the engine's memory
return "LEAKED" if open("/proc/$ENGINE/mem", "rb") else None
## opens its own memory
return "LEAKED" if open("/proc/self/mem", "r+b") else None
## lists the processes
import os
return "LEAKED" if [name for name in os.listdir("/proc") if name.isdigit()] else None
## reads its environment
import os
if "PYTEST_CURRENT_TEST" in os.environ or "HOME" in os.environ or any("KEY" in name for name in os.environ):
    return "LEAKED"
raise KeyError
## reads the environment that libc kept
import ctypes
environ = ctypes.POINTER(ctypes.c_char_p).in_dll(ctypes.CDLL(None), "environ")
found, k = [], 0
while environ and environ[k]:
    found.append(environ[k])
    k += 1
return "LEAKED" if any(b"HOME" in entry or b"KEY" in entry for entry in found) else None
## imports the engine
import funsearch.core.database
return "LEAKED"
## imports the evaluators
import funsearch.evaluators.cap_set
return "LEAKED"
## looks for evaluators among the modules
import sys
if [name for name in sys.modules if "evaluator" in name or name.startswith("funsearch.core")]: return "LEAKED"
raise KeyError
## searches its memory for the data of others
import gc
if [o for o in gc.get_objects() if isinstance(o, dict) and "hidden" in o and "inputs" in o]: return "LEAKED"
raise KeyError
"""

NETWORK = """
## connects
import socket
socket.create_connection(("127.0.0.1", $PORT), 1)
return "LEAKED"
## connects without names
import _socket
_socket.socket(2, 1).connect(("127.0.0.1", $PORT))
return "LEAKED"
## connects through libc
import ctypes
if ctypes.CDLL(None).socket(2, 1, 0) < 0: raise OSError
return "LEAKED"
## sends a datagram
import socket
socket.socket(2, 2).sendto(b"x", ("127.0.0.1", $PORT))
return "LEAKED"
## opens a unix socket
import socket
socket.socket(socket.AF_UNIX)
return "LEAKED"
## asks the kernel about the network
import socket
socket.socket(16, 3)
return "LEAKED"
## opens a raw socket
import socket
socket.socket(2, 3, 1)
return "LEAKED"
## listens
import socket
socket.create_server(("127.0.0.1", 0))
return "LEAKED"
## makes a pair of sockets
import socket
socket.socketpair()
return "LEAKED"
## resolves a name
import socket
return "LEAKED" if socket.getaddrinfo("localhost", 80) else None
## fetches a page
import urllib.request
return "LEAKED" if urllib.request.urlopen("http://127.0.0.1:$PORT", timeout=1) else None
## runs an event loop
import asyncio
asyncio.run(asyncio.open_connection("127.0.0.1", $PORT))
return "LEAKED"
"""

DESCRIPTORS = """
## finds open descriptors
import os
found = []
for fd in range(4, 4096):
    try: found.append(os.fstat(fd))
    except OSError: pass
if found: return "LEAKED"
raise OSError
## reads from its input
import sys
return "LEAKED" if sys.stdin.read() else None
## writes to its input
import os
os.write(0, b"x")
return "LEAKED"
## has the kernel signal the engine
import fcntl
fcntl.fcntl(3, 8, $ENGINE)
return "LEAKED"
## types into the terminal
import fcntl
for fd in range(4): fcntl.ioctl(fd, 0x5412, b"x")
return "LEAKED"
## passes a descriptor
import socket, array
socket.socket(fileno=3).sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0]))])
return "LEAKED"
## closes its socket
import os
os.close(3)
return 1
## writes noise to its socket
import os
os.write(3, bytes(range(256)))
return 1
## announces a huge response
import os
os.write(3, b"\\xff\\xff\\xff\\x7fV")
return 1
## floods its socket
import os
while True: os.write(3, b"\\x00" * 65536)
## makes its socket its output
import os
os.dup2(3, 1)
print("x")
return 1
## reads the next call
import os
os.read(3, 1)
return "LEAKED"
## responds before a request
MODULE
import os, struct
os.write(3, struct.pack("<I", 2) + b"V\\x01")
def f(): return 2
## claims an infrastructure failure
import os, struct
os.write(3, struct.pack("<I", 7) + b"FINFRA:")
while True: pass
## claims to be ready
import os, struct
os.write(3, struct.pack("<I", 1) + b"S")
while True: pass
"""

VALUES = """
## returns a set
return {1}
## returns an object
return object()
## returns a function
return f
## returns a generator
return (x for x in [1])
## returns a class
return int
## returns a subclass of integer
return type("I", (int,), {"__lt__": lambda *a: True, "__gt__": lambda *a: True})(1)
## returns a subclass of number
return type("F", (float,), {"__float__": lambda self: 1e9})(1.0)
## returns a subclass of string
return type("S", (str,), {})("x")
## returns a subclass of list
return type("L", (list,), {"__iter__": lambda self: iter([1] * 10**9)})()
## returns a subclass of array
import numpy as np
return np.matrix([1])
## returns a masked array
import numpy as np
return np.ma.array([1.0], mask=[True])
## returns objects in an array
import numpy as np
return np.array([object()])
## returns texts in an array
import numpy as np
return np.array(["x"])
## returns records in an array
import numpy as np
return np.zeros(2, dtype=[("a", "i4")])
## returns dates in an array
import numpy as np
return np.array(["2020-01-01"], dtype="datetime64[D]")
## returns an array larger than memory
import numpy as np
return np.broadcast_to(np.float64(0), (10**6, 10**6))
## returns complex numbers
return 1j
## returns a huge number
return 1 << 100000
## returns itself in itself
a = []
a.append(a)
return a
## returns what is nested deeply
a = 1
for _ in range(5000): a = [a]
return a
## returns very many
return [0] * 10**7
## returns much text
return "x" * 10**8
## returns a dictionary of objects
return {object(): 1}
## returns a dictionary in whose keys hide tuples of objects
return {(object(),): 1}
## returns what changes while it is sent
import numpy as np
class Sneaky(np.ndarray):
    def tobytes(self): return b""
return np.zeros(3).view(Sneaky)
## returns a view of memory
return memoryview(b"x")
## returns a range
return range(10)
"""

STATE = """
## patches builtins
import builtins
builtins.len = lambda x: 10**6
builtins.max = builtins.sum = lambda *a: 10**6
raise ValueError
## patches numpy
import numpy as np
np.sqrt = np.mean = np.sum = lambda *a, **k: 1e6
raise ValueError
## patches the arithmetic of numpy
import numpy as np
np.set_printoptions(precision=1)
np.seterr(all="raise")
raise ValueError
## patches math
import math, random
math.sqrt = lambda x: 1e6
random.random = lambda: 0.5
raise ValueError
## patches the codec
import sys
codec = sys.modules.get("funsearch.sandbox.codec") or __import__("msgpack")
for name in list(vars(codec)):
    try: setattr(codec, name, None)
    except Exception: pass
raise ValueError
## patches its supervisor
import gc, types
for o in gc.get_objects():
    if isinstance(o, types.FunctionType) and o.__module__ and "sandbox" in o.__module__:
        o.__code__ = (lambda *a, **k: None).__code__
raise ValueError
## finds its supervisor's frame
import sys
frame = sys._getframe()
while frame.f_back: frame = frame.f_back
frame.f_globals.clear()
frame.f_builtins.clear()
raise ValueError
## empties the modules
import sys
sys.modules.clear()
raise ValueError
## replaces imports
import builtins
builtins.__import__ = None
raise ValueError
## leaves a mark in its environment
import os
os.environ["MARK"] = "1"
raise ValueError
## leaves a clean-up behind
import atexit
atexit.register(lambda: open("$FOLDER/made", "w").write("x"))
raise ValueError
## hooks the collector
import gc
gc.callbacks.append(lambda *a: exec("while True: pass"))
gc.set_threshold(1, 1, 1)
return [[] for _ in range(10**5)] and {1}
## traces itself
import sys
sys.settrace(lambda *a: exec("raise SystemExit"))
(lambda: 1)()
raise SystemExit
## sets an alarm
import signal
signal.alarm(1)
signal.setitimer(signal.ITIMER_REAL, 0.01)
raise ValueError
"""


def _corpus() -> dict[str, Hostile]:
    timeout, runtime = {Status.TIMEOUT, Status.CPU_LIMIT}, {Status.RUNTIME_ERROR}
    kinds: list[tuple[str, str, set[Status | None]]] = [
        ("time", TIME, {*timeout, Status.PROTOCOL, Status.RUNTIME_ERROR}),
        ("memory", MEMORY, {Status.MEMORY, Status.CRASH, *runtime, *timeout}),
        ("output", OUTPUT, {Status.OUTPUT_LIMIT}),
        ("crash", CRASH, {*CRASHED, Status.EARLY_EXIT, *timeout}),
        ("exit", EXIT, {Status.EARLY_EXIT, *runtime}),
        ("processes", PROCESSES, {*REFUSED, None}),
        ("files", FILES, {*REFUSED, None}),
        ("network", NETWORK, {*REFUSED}),
        ("descriptors", DESCRIPTORS, {*CRASHED, *timeout, Status.PROTOCOL, Status.EARLY_EXIT, None}),
        ("values", VALUES, {Status.PROTOCOL, Status.MEMORY, Status.CRASH, *runtime, *timeout}),
        ("state", STATE, {*runtime, *timeout, Status.EARLY_EXIT, Status.PROTOCOL, Status.CRASH}),
    ]
    return {
        f"{kind}: {name}": Hostile(source, frozenset(contained))
        for kind, text, contained in kinds
        for name, source in _sources(text).items()
    }


CORPUS = _corpus()
