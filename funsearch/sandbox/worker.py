"""The confined worker: warm, never runs candidate code itself, forks a child for each candidate.

Started by `funsearch.sandbox.engine` as a script of its own, with nothing of funsearch but its two neighbours:

    worker.py CONTROL_FD CONFIG_JSON

On the control socket it gets jobs (a source, limits, and one end of a socket for the calls), and answers each with a
report once the child is gone. The child answers calls on the other socket until it is told to end.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
import types
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

LENGTH = struct.Struct("<I")
RPC_FD = 3
READ_BYTES = 65536
DETAIL_BYTES = 2000
PATIENCE_MILLISECONDS = 200
"""How long a child that was told to end may take for it."""
END = b"E"
RESULT, FAILURE = b"R", b"E"
"""First byte of an answer: a value, or `STATUS:detail`."""


def read_exactly(fd: int, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(fd, count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def write_frame(fd: int, payload: bytes) -> None:
    data = memoryview(frame(payload))
    while data:
        data = data[os.write(fd, data) :]


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(sys.argv[2])
    sys.path[:] = config["path"]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import codec  # type: ignore[import-not-found]
    import lowlevel  # type: ignore[import-not-found]

    for name in config["preload"]:
        importlib.import_module(name)
    del sys.path[0]
    for name in list(os.environ):
        del os.environ[name]
    seccomp = confine(config, lowlevel)
    base = mapped_bytes() if not config["confined"] else config["mapped"] or 0
    gc.collect()
    gc.freeze()
    control.sendall(b"READY")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, LENGTH.size, 1)
        if not message:
            os._exit(0)
        (size,) = LENGTH.unpack(message)
        job = codec.decode(read_exactly(control.fileno(), size))
        report = run_job(job, descriptors[0], control, partial(enter_child, job, base, lowlevel, seccomp), codec)
        write_frame(control.fileno(), codec.encode(report))


def mapped_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def confine(config: dict[str, Any], lowlevel: Any) -> Any:
    """Confines this process and so all its children; returns the filter that each child loads, if any."""
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_MEMLOCK):
        resource.setrlimit(limit, (0, 0))
    if not config["confined"]:
        return None
    config["mapped"] = mapped_bytes()
    if os.getuid() == 0:
        lowlevel.drop_to(config["uid"])
    lowlevel.no_new_privileges()
    lowlevel.drop_capabilities()
    if config["landlock"]:
        lowlevel.landlock(config["readable"])
    return lowlevel.SeccompFilter(files=config["landlock"])


def enter_child(job: dict[str, Any], base: int, lowlevel: Any, seccomp: Any) -> None:
    """Puts the limits of one job on a fresh child."""
    memory = base + job["memory"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (job["cpu"], job["cpu"] + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
    os.setsid()
    if lowlevel.ARCH is not None:
        lowlevel.die_with_parent()
        lowlevel.close_from(RPC_FD + 1)
    if seccomp is not None:
        seccomp.load()


def run_job(
    job: dict[str, Any], calls: int, control: socket.socket, enter: Callable[[], None], codec: Any
) -> dict[str, Any]:
    """Runs one candidate in a child and returns how it ended. Trusts nothing that comes from it."""
    out_read, out_write = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        run_child(job, calls, out_write, enter, codec)
    os.close(calls)
    os.close(out_write)
    pidfd = os.pidfd_open(child)
    try:
        output, too_much = watch(child, pidfd, out_read, control, job["output"])
    finally:
        os.close(pidfd)
        os.close(out_read)
    _, status, usage = os.wait4(child, 0)
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "too_much": too_much,
        "output": output.decode("utf-8", "replace"),
        "cpu": usage.ru_utime + usage.ru_stime,
        "seconds": time.monotonic() - started,
    }


def watch(child: int, pidfd: int, out: int, control: socket.socket, cap: int) -> tuple[bytes, bool]:
    """Collects the child's output until it is dead and the other side has said its one word.

    Every job is ended by exactly one byte on the control socket, whether its child is still alive or not: END lets
    it say its last words, KILL does not.
    """
    poll = select.poll()
    for fd in (pidfd, out, control.fileno()):
        poll.register(fd, select.POLLIN)
    output = bytearray()
    too_much = told = dead = False
    patience = None
    while not (told and dead):
        ready = dict(poll.poll(patience))
        if not ready:
            kill(child)
            patience = None
        if out in ready:
            part = os.read(out, READ_BYTES)
            output += part
            if not part:
                poll.unregister(out)
            elif len(output) > cap:
                too_much = True
                kill(child)
        elif pidfd in ready:
            kill(child)  # what else is in its session
            poll.unregister(pidfd)
            dead = True
        if control.fileno() in ready:
            word = control.recv(1)
            if word != END:
                kill(child)
            if not word:
                os._exit(0)
            poll.unregister(control.fileno())
            patience = PATIENCE_MILLISECONDS
            told = True
    return bytes(output[:cap]), too_much


def kill(child: int) -> None:
    for send in (os.killpg, os.kill):
        try:
            send(child, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass


def run_child(job: dict[str, Any], calls: int, output: int, enter: Callable[[], None], codec: Any) -> NoReturn:
    """Runs in the child and never returns."""
    try:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.dup2(calls, RPC_FD)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        enter()
    except BaseException as error:
        os.write(calls, frame(FAILURE + f"INFRA:{error!r}".encode()))
        os._exit(1)
    try:
        serve(load(job["source"]), codec)
    except EOFError:
        pass
    except BaseException as error:
        try:
            write_frame(RPC_FD, FAILURE + describe(error).encode("utf-8", "replace")[:DETAIL_BYTES])
        except BaseException:
            pass
    finally:
        flush()
        os._exit(0)


def frame(payload: bytes) -> bytes:
    return LENGTH.pack(len(payload)) + payload


def flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


def load(source: str) -> dict[str, Any]:
    """Returns the names of the candidate's module, executed."""
    try:
        code = compile(source, "<candidate>", "exec")
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise Uncompilable(f"{type(error).__name__}: {error}") from None
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module  # dataclasses look their module up there
    exec(code, module.__dict__)
    write_frame(RPC_FD, RESULT)
    return module.__dict__


def serve(names: dict[str, Any], codec: Any) -> NoReturn:
    """Answers calls until the other side closes."""
    encode, decode = codec.encode, codec.decode
    pending = b""
    while True:
        while len(pending) < LENGTH.size or len(pending) < LENGTH.size + LENGTH.unpack_from(pending)[0]:
            part = os.read(RPC_FD, READ_BYTES)
            if not part:
                raise EOFError
            pending = pending + part if pending else part
        end = LENGTH.size + LENGTH.unpack_from(pending)[0]
        name, args = decode(pending[LENGTH.size : end])
        pending = pending[end:]
        value = names[name](*args)
        try:
            payload = encode(value)
        except ValueError as error:
            raise Uncrossable(f"{name} returned what does not cross: {error}") from None
        write_frame(RPC_FD, RESULT + payload)


class Uncompilable(Exception):
    pass


class Uncrossable(Exception):
    pass


def describe(error: BaseException) -> str:
    """Returns `STATUS:detail` for what a candidate raised."""
    if isinstance(error, Uncompilable):
        return f"COMPILE_ERROR:{error}"
    if isinstance(error, Uncrossable):
        return f"PROTOCOL:{error}"
    if isinstance(error, MemoryError):
        return "MEMORY:MemoryError"
    if isinstance(error, SystemExit):
        return f"EARLY_EXIT:SystemExit({error.code!r:.100})"
    try:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == "<candidate>"]
        where = f" (line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""
        return f"RUNTIME_ERROR:{type(error).__name__}: {error}{where}"
    except BaseException:
        return "RUNTIME_ERROR:an exception that cannot be shown"


if __name__ == "__main__":
    main()
