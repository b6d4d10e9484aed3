"""The sandbox with real processes: failures have a status, attacks fail, and candidates do not affect each other."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from funsearch.core.ports import CandidateFailure
from funsearch.core.problem import Candidate
from funsearch.core.records import Limits, Status
from funsearch.errors import SandboxError
from funsearch.sandbox import levels, open_sandbox, self_test
from funsearch.sandbox.engine import ForkSandbox

LIMITS = Limits(seconds=1.0, memory_mb=256, output_bytes=1000)
HONEST = "import numpy as np\ndef f(x=2.0):\n    return float(np.sqrt(x * x))\n"

Run = Callable[..., object]
Fail = Callable[[str], CandidateFailure]

ENDS = {
    "loops for ever": ("def f():\n    while True: pass\n", Status.TIMEOUT),
    "sleeps": ("import time\ndef f(): time.sleep(60)\n", Status.TIMEOUT),
    "loops while it is loaded": ("while True: pass\n", Status.TIMEOUT),
    "swallows every exception": (
        "def f():\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n",
        Status.TIMEOUT,
    ),
    "allocates at once": ("def f(): return bytearray(1 << 30)\n", Status.MEMORY),
    "allocates bit by bit": ("def f():\n    a = []\n    while True: a.append('x' * (1 << 24))\n", Status.MEMORY),
    "allocates in numpy": ("import numpy as np\ndef f(): return np.ones(1 << 28).sum()\n", Status.MEMORY),
    "prints without end": ("def f():\n    while True: print('x' * 1000)\n", Status.OUTPUT_LIMIT),
    "does not compile": ("def f(: pass\n", Status.COMPILE_ERROR),
    "has a null byte": ("x = 1\0\n", Status.COMPILE_ERROR),
    "nests too deeply": ("x = " + "(" * 10000 + ")" * 10000 + "\n", Status.COMPILE_ERROR),
    "raises": ("def f(): return 1 / 0\n", Status.RUNTIME_ERROR),
    "raises while it is loaded": ("raise ValueError('x')\n", Status.RUNTIME_ERROR),
    "lacks the function": ("x = 1\n", Status.RUNTIME_ERROR),
    "recurses": ("def f(): return f()\n", Status.RUNTIME_ERROR),
    "raises what cannot be shown": (
        "class E(Exception):\n    def __str__(self): raise E\ndef f(): raise E\n",
        Status.RUNTIME_ERROR,
    ),
    "exits": ("import sys\ndef f(): sys.exit(0)\n", Status.EARLY_EXIT),
    "exits hard": ("import os\ndef f(): os._exit(0)\n", Status.EARLY_EXIT),
    "crashes": ("import ctypes\ndef f(): ctypes.string_at(0)\n", Status.CRASH),
    "returns a set": ("def f(): return {1}\n", Status.PROTOCOL),
    "returns an object": ("def f(): return object()\n", Status.PROTOCOL),
    "returns a function": ("def f(): return f\n", Status.PROTOCOL),
    "returns what pickles": ("import fractions\ndef f(): return fractions.Fraction(1, 2)\n", Status.PROTOCOL),
    "returns itself in itself": ("def f():\n    a = []\n    a.append(a)\n    return a\n", Status.PROTOCOL),
    "writes to its socket": ("import os\ndef f(): os.write(3, b'junkjunk'); return 1\n", Status.PROTOCOL),
    "answers twice": ("import os\ndef f(): os.write(3, b'\\2\\0\\0\\0R\\1' * 2); return 1\n", Status.PROTOCOL),
    "announces a huge answer": ("import os\ndef f(): os.write(3, b'\\xff' * 4 + b'R'); return 1\n", Status.PROTOCOL),
}


@pytest.mark.parametrize("name", ENDS)
def test_every_failure_has_its_status(sandbox: ForkSandbox, fail: Fail, name: str) -> None:
    source, status = ENDS[name]
    if "ctypes" in source and sandbox.level == "L1":
        pytest.skip("at L1, only modules that were loaded in advance can be imported")
    assert fail(source).status is status


ATTACKS = {
    "reads a file": "open('/etc/passwd').read()",
    "writes a file": "open('/tmp/funsearch-breach', 'w')",
    "lists folders": "__import__('os').listdir('/')",
    "forks": "__import__('os').fork()",
    "starts a thread": "__import__('_thread').start_new_thread(print, ())",
    "opens a socket": "__import__('_socket').socket()",
    "execs": "__import__('os').execv('/bin/true', ['true'])",
    "signals its parent": "__import__('os').kill(__import__('os').getppid(), 9)",
    "signals everybody": "__import__('os').kill(-1, 9)",
    "reads its environment": "open('/proc/self/environ').read()",
    "raises its limits": "__import__('resource').setrlimit(7, (999, 999))",
    "makes a memory file": "__import__('os').memfd_create('x')",
    "changes its user": "__import__('os').setuid(0)",
    "reads the engine": f"open({__file__!r}).read()",
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attacks_fail(fail: Fail, name: str) -> None:
    failure = fail(f"def f():\n    {ATTACKS[name]}\n    return 1\n")
    assert failure.status in (Status.RUNTIME_ERROR, Status.VIOLATION), failure


def test_attacks_succeed_without_confinement(open_level: Callable[[str], ForkSandbox], tmp_path: Path) -> None:
    """Positive control: the attacks above are real, and the self-test detects that they succeed."""
    sandbox = open_level("none")
    os.chmod(tmp_path, 0o777)
    file = tmp_path / "readable"
    file.write_text("seen")
    with sandbox.start(f"def f(): return open({str(file)!r}).read()\n", LIMITS) as process:
        assert process.call("f", ()) == "seen"
    assert {"reads a file", "lists a folder", "opens a socket", "starts a process"} <= set(self_test(sandbox))


def test_self_test_passes(sandbox: ForkSandbox) -> None:
    assert self_test(sandbox) == []


@pytest.mark.parametrize(
    "forgery",
    [
        "import builtins\nbuiltins.len = lambda x: 10**6\n",
        "import numpy as np\nnp.mean = np.sum = lambda *a, **k: 1e6\n",
        "import sys\nprint('score: 1000000')\nsys.modules['funsearch'] = None\n",
        "import msgpack\nmsgpack.packb = None\n",
    ],
)
def test_patches_do_not_affect_later_candidates(run: Run, forgery: str) -> None:
    try:
        returned = run(forgery + "def f(): return [1, 2]\n")
    except CandidateFailure:
        returned = [1, 2]
    assert returned == [1, 2]
    assert len([1]) == 1
    assert run("import numpy as np\ndef f(): return [len([1, 2]), float(np.mean([1.0, 3.0]))]\n") == [2, 2.0]


def test_one_process_serves_many_calls_and_its_state_ends_with_it(sandbox: ForkSandbox, run: Run) -> None:
    source = "n = 0\ndef f():\n    global n\n    n += 1\n    return n\n"
    with sandbox.start(source, LIMITS) as process:
        assert [process.call("f", ()) for _ in range(3)] == [1, 2, 3]
    assert run(source) == 1


def test_arrays_can_be_sent_both_ways_and_are_writable(run: Run) -> None:
    returned = run("def f(a):\n    a[0] = 7\n    return a.reshape(2, 2)\n", np.arange(4.0))
    assert isinstance(returned, np.ndarray)
    assert returned.tolist() == [[7.0, 1.0], [2.0, 3.0]]


def test_argument_that_cannot_be_sent_is_an_error_of_the_caller(sandbox: ForkSandbox) -> None:
    with sandbox.start(HONEST, LIMITS) as process:
        with pytest.raises(TypeError, match="cannot be sent"):
            process.call("f", [object()])
        assert process.call("f", [4.0]) == 4.0


def test_clock_restarts_for_each_input(sandbox: ForkSandbox) -> None:
    source = "import time\ndef f():\n    time.sleep(0.4)\n    return 1\n"
    with sandbox.start(source, LIMITS) as process:
        for _ in range(4):
            process.begin_input()
            assert process.call("f", ()) == 1


def test_output_is_reported(sandbox: ForkSandbox) -> None:
    with sandbox.start("def f():\n    print('hello')\n    return 1\n", LIMITS) as process:
        process.call("f", ())
    assert process.close().output == "hello\n"


@pytest.mark.parametrize("body", ["return hash('x')", "import random; return random.Random(1).random()"])
def test_honest_random_numbers_are_reproducible(run: Run, body: str) -> None:
    assert run(f"def f(): {body}\n") == run(f"def f(): {body}\n")


def test_classes_generators_and_caches_work(run: Run) -> None:
    source = """
import dataclasses, functools, heapq, itertools, math, collections, fractions, statistics, typing

@dataclasses.dataclass
class Point:
    x: int
    y: int = 2

@functools.lru_cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

def numbers():
    yield from itertools.islice(itertools.count(), 3)

def f():
    heap = [3, 1, 2]
    heapq.heapify(heap)
    half = float(fractions.Fraction(1, 2))
    return [Point(1).y, fib(30), list(numbers()), heap[0], half, statistics.mean([1, 3]), math.comb(5, 2)]
"""
    assert run(source) == [2, 832040, [0, 1, 2], 1, 0.5, 2, 10]


def descendants(pid: int | None) -> list[int]:
    """Returns the ids of a process and its living descendants."""
    pids = [pid] if pid else []
    for parent in pids:
        children = Path(f"/proc/{parent}/task/{parent}/children")
        pids += map(int, children.read_text().split()) if children.exists() else []
    return pids


def settled_count(pid: int | None) -> int:
    """Returns the number of processes of a worker, once it has forked its next child."""
    counts = [0]
    while len(counts) < 5 or len(set(counts[-5:])) > 1:
        time.sleep(0.1)
        counts.append(len(descendants(pid)))
    return counts[-1]


def test_no_processes_or_files_are_leaked(sandbox: ForkSandbox, run: Run, fail: Fail) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    run(HONEST)
    before = open_files()
    processes = settled_count(sandbox.worker_pid)
    for number in range(150):
        if number % 3:
            run(HONEST)
        else:
            fail("def f(): return 1 / 0\n")
    assert open_files() == before
    assert settled_count(sandbox.worker_pid) == processes


def test_worker_that_dies_is_replaced(sandbox: ForkSandbox, run: Run) -> None:
    pid = sandbox.worker_pid
    assert pid is not None
    os.killpg(pid, 9)
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":  # Until then, its next child may serve another call.
        time.sleep(0.01)
    assert run(HONEST, 5.0) == 5.0
    assert sandbox.worker_pid != pid


def test_next_child_that_dies_is_replaced(sandbox: ForkSandbox, run: Run) -> None:
    run(HONEST)
    settled_count(sandbox.worker_pid)
    os.kill(descendants(sandbox.worker_pid)[-1], 9)
    assert run(HONEST, 5.0) == 5.0


def test_candidate_that_closes_its_output_and_stays_is_ended(sandbox: ForkSandbox, run: Run) -> None:
    """A candidate is not awaited after its output is closed, but it must not survive."""
    source = """
import os, time
class Stays:
    def flush(self):
        os.close(1)
        os.close(2)
        time.sleep(60)
import sys
sys.stdout = Stays()
def f(): return 1
"""
    before = settled_count(sandbox.worker_pid)
    with sandbox.start(source, LIMITS) as process:
        assert process.call("f", ()) == 1
        started = time.monotonic()
        process.close()
    assert time.monotonic() - started < 5.0
    assert settled_count(sandbox.worker_pid) == before
    assert run(HONEST, 5.0) == 5.0


def test_death_of_the_worker_is_an_infrastructure_failure(sandbox: ForkSandbox, run: Run) -> None:
    with sandbox.start("import time\ndef f(): time.sleep(0.9)\n", LIMITS) as process:
        assert sandbox.worker_pid is not None
        os.killpg(sandbox.worker_pid, 9)
        with pytest.raises(CandidateFailure) as caught:
            process.call("f", ())
    assert caught.value.status is Status.INFRA
    assert run(HONEST, 5.0) == 5.0


def test_unavailable_level_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "_reasons", {})
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SandboxError, match="level L3 is unavailable: needs bubblewrap"):
        open_sandbox("L3")
    with pytest.raises(SandboxError, match="no sandbox level L9"):
        open_sandbox("L9")


def test_many_calls_are_made_at_once(sandbox: ForkSandbox) -> None:
    with sandbox.start("def f(a, b=1): return a * b\n", LIMITS) as process:
        function = Candidate(process).f
        assert function.map(range(2500), [2] * 2500) == [2 * n for n in range(2500)]
        assert function.map([1.0]) == [1.0]
        assert function.map([]) == []
        assert function(3, 4) == 12


def test_many_calls_return_the_same_as_separate_calls(sandbox: ForkSandbox) -> None:
    source = """
import numpy as np
kept, count = np.zeros(2), []
def array(a): kept[0] = a; return kept
def nested(a): count.append(a); return {"all": count}
def changed(a, bins): bins[0] = a; return bins
def mixed(a, bins): return [bins, None, 2**70, "x", np.float32(0.5)][int(a)]
"""
    ones = [np.ones(n) for n in (1, 2, 3)]
    with sandbox.start(source, LIMITS) as process:
        candidate = Candidate(process)
        assert [row.tolist() for row in candidate.array.map([1.0, 2.0])] == [[1, 0], [2, 0]]
        assert candidate.nested.map([1, 2]) == [{"all": [1]}, {"all": [1, 2]}]
        assert [row.tolist() for row in candidate.changed.map([5.0, 6.0, 7.0], ones)] == [[5], [6, 1], [7, 1, 1]]
        assert [row.tolist() for row in ones] == [[1], [1, 1], [1, 1, 1]]
        assert candidate.mixed.map([1, 2, 3, 4], [*ones, ones[0]]) == [None, 2**70, "x", 0.5]
        assert candidate.mixed.map([0], [np.zeros((2, 2))])[0].tolist() == [[0, 0], [0, 0]]


def test_many_calls_require_arguments_of_the_same_length_that_can_be_sent(sandbox: ForkSandbox) -> None:
    with sandbox.start("def f(a, b=1): return a\n", LIMITS) as process:
        function = Candidate(process).f
        with pytest.raises(ValueError, match=r"same length, not of lengths \[1, 2\]"):
            function.map([1, 2], [1])
        with pytest.raises(ValueError, match="same length"):
            function.map()
        with pytest.raises(TypeError, match="an argument of f cannot be sent"):
            function.map([1, object()])
        assert function.map([1, 2], [1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("def f(a): return 1 / (a - 700)\n", Status.RUNTIME_ERROR),
        ("def f(a):\n    while a == 1500: pass\n", Status.TIMEOUT),
        ("def f(a): return object()\n", Status.PROTOCOL),
        (
            "import os, struct\ndef f(a):\n"
            "    if a == 0: os.write(3, struct.pack('<I', 2) + b'V\\x01')\n    return a\n",
            Status.PROTOCOL,
        ),
    ],
)
def test_a_failing_call_ends_all_calls(source: str, status: Status, sandbox: ForkSandbox) -> None:
    with sandbox.start(source, LIMITS) as process, pytest.raises(CandidateFailure) as caught:
        Candidate(process).f.map(range(2000))
    assert caught.value.status is status


def test_threads_are_permitted_only_if_granted(sandbox: ForkSandbox) -> None:
    source = """
import threading
import numpy as np
def f():
    results = []
    threads = [threading.Thread(target=lambda k=k: results.append(k)) for k in range(3)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return [sorted(results), float((np.ones((300, 300)) @ np.ones((300, 300))).sum())]
"""
    with sandbox.start(source, replace(LIMITS, threads=2)) as process:
        assert process.call("f", ()) == [[0, 1, 2], 27e6]
    with pytest.raises(CandidateFailure, match="can't start new thread"), sandbox.start(source, LIMITS) as process:
        process.call("f", ())
    forking = "import os\ndef f():\n    os.fork()\n"
    with (
        pytest.raises(CandidateFailure, match="not permitted"),
        sandbox.start(forking, replace(LIMITS, threads=2)) as process,
    ):
        process.call("f", ())


def test_packages_can_be_imported_only_if_granted(sandbox: ForkSandbox) -> None:
    source = "def f():\n    import click\n    return click.Choice(['a']).name\n"
    with pytest.raises(CandidateFailure, match="No module named 'click'"), sandbox.start(source, LIMITS) as process:
        process.call("f", ())
    with sandbox.start(source, replace(LIMITS, modules=("click",))) as process:
        assert process.call("f", ()) == "choice"
    with pytest.raises(SandboxError, match="nosuchmodule"):
        sandbox.start(source, replace(LIMITS, modules=("nosuchmodule",)))
    with sandbox.start(HONEST, LIMITS) as process:
        assert process.call("f", (3.0,)) == 3.0


def test_processor_time_is_limited_over_all_inputs(sandbox: ForkSandbox) -> None:
    source = "def f():\n    return sum(k * k for k in range(10**6))\n"
    with (
        sandbox.start(source, replace(LIMITS, cpu_seconds=1.0)) as process,
        pytest.raises(CandidateFailure) as caught,
    ):
        for _ in range(100):
            process.begin_input()
            process.call("f", ())
    assert caught.value.status is Status.CPU_LIMIT


def test_refresh_starts_a_new_worker(sandbox: ForkSandbox) -> None:
    with sandbox.start(HONEST, LIMITS) as process:
        process.call("f", ())
    before = sandbox.worker_pid
    sandbox.refresh()
    with sandbox.start(HONEST, LIMITS) as process:
        assert process.call("f", (5.0,)) == 5.0
    assert sandbox.worker_pid != before
