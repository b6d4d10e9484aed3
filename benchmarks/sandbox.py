"""Measures the cost of running a candidate in the sandbox, compared with other ways to start a process.

    python -m benchmarks.sandbox [--level L2] [--soak 100000]

An evaluation starts a candidate that uses numpy, calls it once and ends it. In turn with it, the same candidate runs in
a bare `os.fork` of a process as warm as the sandbox's worker, in a process by `multiprocessing` (spawn), and in
`python -c`. Then the benchmark measures further calls, the start of a worker and the delay with which a timeout is
noticed, and with `--soak` whether many evaluations leak memory or files.
"""

import argparse
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from funsearch.core.ports import CandidateFailure
from funsearch.core.records import Limits
from funsearch.sandbox import available_levels
from funsearch.sandbox.columns import decode_column, encode_column
from funsearch.sandbox.engine import ForkSandbox
from funsearch.sandbox.levels import LEVELS
from funsearch.sandbox.preload import PRELOADED

SOURCE = "import numpy as np\ndef f(x):\n    return float(np.sqrt(x))\ndef g(x, array):\n    return x - array\n"
SPIN = "def f():\n    while True: pass\n"
LIMITS = Limits(seconds=1.0, memory_mb=256)
ROUNDS, SLOW_ROUNDS, CALLS, CALL_ROUNDS, TIMEOUTS, SOAK_STEP = 400, 5, 100, 30, 5, 5000
ARRAY_SIZES = (8, 2000)
CALLS_AT_ONCE = (5, 20)


BARE_FORKS = """
import gc, importlib, os, sys, time

for name in sys.argv[1].split():
    importlib.import_module(name)
gc.collect()
gc.freeze()
gc.disable()
source = sys.argv[2]


def evaluate():
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        names = {}
        exec(compile(source, "<candidate>", "exec"), names)
        os.write(writing, repr(names["f"](2.0)).encode())
        os._exit(0)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    os.waitpid(pid, 0)


for line in sys.stdin:
    started = time.perf_counter()
    evaluate()
    print(time.perf_counter() - started, flush=True)
"""
"""A process as warm as the worker, which forks for each evaluation. The child is neither confined nor supervised."""


class BareForks:
    """Evaluates in bare forks, timed in the process that forks."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", BARE_FORKS, " ".join([*PRELOADED, "msgpack"]), SOURCE]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self) -> float:
        """Returns the seconds of one evaluation."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def in_process() -> float:
    """Runs one evaluation in this process."""
    names: dict[str, Callable[[float], float]] = {}
    exec(compile(SOURCE, "<candidate>", "exec"), names)
    return names["f"](2.0)


def timed(action: Callable[[], object]) -> Callable[[], float]:
    """Returns a function that runs the action and returns its seconds."""

    def run() -> float:
        started = time.perf_counter()
        action()
        return time.perf_counter() - started

    return run


def spawn() -> None:
    """Runs one evaluation in a process by multiprocessing."""
    process = multiprocessing.get_context("spawn").Process(target=in_process)
    process.start()
    process.join()


def fresh_python() -> None:
    """Runs one evaluation in a new interpreter."""
    subprocess.run([sys.executable, "-c", SOURCE + "print(f(2.0))"], check=True, stdout=subprocess.DEVNULL)


def confined(sandbox: ForkSandbox) -> None:
    """Runs one evaluation in the sandbox."""
    with sandbox.start(SOURCE, LIMITS) as candidate:
        candidate.call("f", (2.0,))


def measure(actions: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Returns the milliseconds of each action, sorted. The actions take turns, so that noise affects all of them."""
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            taken[name].append(1000 * action())
    return {name: sorted(values) for name, values in taken.items()}


def evaluations(sandbox: ForkSandbox) -> None:
    """Prints the time of one evaluation."""
    bare = BareForks()
    taken = measure({"sandbox": timed(lambda: confined(sandbox)), "bare os.fork": bare}, ROUNDS)
    bare.close()
    taken |= measure({"multiprocessing spawn": timed(spawn), "python -c": timed(fresh_python)}, SLOW_ROUNDS)
    fork = statistics.median(taken["bare os.fork"])
    print(f"{'one evaluation':<24} {'median ms':>10} {'p95 ms':>8} {'vs bare fork':>13}")
    for name, values in taken.items():
        median, late = statistics.median(values), values[int(0.95 * len(values))]
        print(f"{name:<24} {median:>10.2f} {late:>8.2f} {median / fork:>12.2f}x")


def calls(sandbox: ForkSandbox) -> None:
    """Prints the time of further calls, one or many at once, and the shares of switches and encoding."""
    with sandbox.start(SOURCE, Limits(seconds=600.0)) as candidate:
        print(f"{'microseconds':<36} {'total':>8} {'per call':>8}")
        exchange = Exchange()
        row("a bare exchange over a socket", exchange, 1)
        exchange.close()
        row("one call, a float", lambda: candidate.call("f", (2.0,)), 1)
        for size in ARRAY_SIZES:
            array = np.arange(float(size))
            row(f"one call, {size} floats", lambda array=array: candidate.call("g", (2.0, array)), 1)
            for count in CALLS_AT_ONCE:
                columns: list[list[Any]] = [[2.0] * count, [array] * count]
                row(
                    f"{count} calls at once, {size} floats each", lambda it=columns: candidate.call_many("g", it), count
                )
                row("   encoding and decoding", lambda it=columns: translate(it), count)
                row("   the function itself", lambda it=columns: list(map(np.subtract, *it)), count)


def row(title: str, action: Callable[[], object], calls: int) -> None:
    """Prints the best time of an action, in total and per call."""
    best = 1e6 * min(timeit.repeat(action, number=CALLS, repeat=CALL_ROUNDS)) / CALLS
    print(f"{title:<36} {best:>8.1f} {best / calls:>8.1f}")


def translate(columns: list[list[Any]]) -> None:
    """Encodes and decodes the arguments, and answers as large as the last column, as both sides do."""
    for column in (*columns, columns[-1]):
        decode_column(encode_column(column), 0, len(column))


class Exchange:
    """Sends a few bytes to a process on the same processor, which sends them back."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        if os.fork() == 0:
            self._ours.close()
            while data := theirs.recv(4096):
                theirs.send(data)
            os._exit(0)
        theirs.close()

    def __call__(self) -> None:
        """Sends the bytes and receives them."""
        self._ours.send(bytes(100))
        self._ours.recv(4096)

    def close(self) -> None:
        """Ends the process."""
        self._ours.close()
        os.wait()


def starts(level: str) -> None:
    """Prints the time to start and stop a worker."""
    taken = []
    for _ in range(SLOW_ROUNDS):
        started = time.perf_counter()
        ForkSandbox(LEVELS[level]).close()
        taken.append(time.perf_counter() - started)
    print(f"starting and stopping a worker: {statistics.median(taken):.2f} s")


def timeouts(sandbox: ForkSandbox) -> None:
    """Prints the longest delay until a timeout is noticed and its process has ended."""
    late = []
    for _ in range(TIMEOUTS):
        candidate = sandbox.start(SPIN, LIMITS)
        candidate.begin_input()
        started = time.perf_counter()
        try:
            candidate.call("f", ())
        except CandidateFailure:
            late.append(time.perf_counter() - started - LIMITS.seconds)
    print(f"timeout noticed after at most: {1000 * max(late):.1f} ms")


def soak(sandbox: ForkSandbox, count: int) -> None:
    """Prints the memory and the open files of both sides during many evaluations."""
    worker = innermost(sandbox.worker_pid)
    print(f"{'evaluations':>12} {'engine MB':>10} {'worker MB':>10} {'open files':>11} {'per s':>7}")
    done, started = 0, time.perf_counter()
    while True:
        files = len(os.listdir("/proc/self/fd"))
        rate = done / (time.perf_counter() - started)
        print(f"{done:>12} {resident('self'):>10.1f} {resident(worker):>10.1f} {files:>11} {rate:>7.0f}")
        if done >= count:
            return
        for _ in range(min(SOAK_STEP, count - done)):
            confined(sandbox)
            done += 1


def innermost(pid: int | None) -> str:
    """Returns the process id of the worker itself, which bubblewrap may have started."""
    while Path(f"/proc/{pid}/comm").read_text().strip() == "bwrap":
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
    return str(pid)


def resident(pid: str) -> float:
    """Returns the resident memory of a process in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def main() -> None:
    """Prints the figures of one level."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--level", choices=[*LEVELS], help="by default, the best level of this machine")
    parser.add_argument("--soak", type=int, default=0, metavar="N", help="also run N evaluations, to detect leaks")
    options = parser.parse_args()
    level = options.level or next((name for name, reason in available_levels().items() if not reason), None)
    if level is None:
        parser.exit(1, "No level of the sandbox works on this machine: see `funsearch doctor`.\n")
    sandbox = ForkSandbox(LEVELS[level])
    print(f"level {level}")
    evaluations(sandbox)
    calls(sandbox)
    starts(level)
    timeouts(sandbox)
    if options.soak:
        soak(sandbox, options.soak)
    sandbox.close()


if __name__ == "__main__":
    main()
