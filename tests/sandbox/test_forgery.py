"""Forged scores, in both ways of scoring: whatever a program does, it gets the score that it deserves, or none.

In the first way, one call returns a solution, which is verified (cap sets); in the second, a simulation on the trusted
side makes many calls (bin packing).
"""

import pytest

from funsearch.core.code.reading import read_file
from funsearch.core.evaluator import Outcome
from funsearch.core.records import Limits, Status
from funsearch.loading import Problem, load_problem
from funsearch.sandbox.engine import ForkSandbox

LIMITS = Limits(seconds=10.0, memory_mb=256)
TINY = '{"capacity": 10, "items": [6, 7, 5, 5, 3, 4, 8, 2]}'

OBJECTS = {
    "patches len": "    import builtins\n    builtins.len = lambda x: 10**6\n",
    "patches numpy": "    np.argsort = lambda *a, **k: np.arange(27)\n    np.zeros = None\n",
    "patches the supervisor's codec": """
    import sys
    for name, module in list(sys.modules.items()):
        if name.endswith("codec"):
            module.encode = lambda value: b"\\xcb\\x41\\x2e\\x84\\x80\\x00\\x00\\x00\\x00"
""",
    "returns all vectors": "    replace(lambda n: list(itertools.product(range(3), repeat=n)))\n",
    "repeats a vector": "    replace(lambda n: [(0,) * n] * 27)\n",
    "returns a point twice with other types": "    replace(lambda n: [(0, 0, 0), (False, 0, 0), (0, 0, 0.0)])\n",
    "uses points outside the space": "    replace(lambda n: [(k, 0, 0) for k in range(27)])\n",
    "uses points that are not numbers": "    replace(lambda n: [(float('nan'), 0, 0)] * 27)\n",
    "claims a number": "    replace(lambda n: 10**6)\n",
    "claims a length": "    replace(lambda n: type('L', (list,), {'__len__': lambda self: 10**6})())\n",
    "claims an array": "    replace(lambda n: np.zeros((27, 3), dtype=int))\n",
    "adds one vector too many": "    replace(lambda n: [*itertools.product(range(2), repeat=n), (2, 2, 2)])\n",
    "prints a score": "    print('score: 1000000')\n",
    "exits with a score": "    raise SystemExit(1000000)\n",
    "raises a score": "    raise ValueError(1000000.0)\n",
    "sends a response without a request": """
    import os, struct
    answer = b"V\\xcb\\x41\\x2e\\x84\\x80\\x00\\x00\\x00\\x00"
    os.write(3, struct.pack("<I", len(answer)) + answer)
""",
    "finds the supervisor's names": """
    import sys
    frame = sys._getframe()
    while frame:
        names = frame.f_locals.get("names")
        if isinstance(names, dict): names["solve"] = lambda n: [(0,) * n] * 27
        frame = frame.f_back
""",
    "patches the evaluator": "    import funsearch.evaluators.cap_set as e\n    e.verified_size = lambda *a: 10**6\n",
    "looks for the evaluator": """
    import gc
    for o in gc.get_objects():
        if getattr(o, "__name__", "") == "verified_size": o.__code__ = (lambda *a: 10**6).__code__
""",
}
"""Bodies of `priority`, which then returns 0, for which the score in three dimensions is 8."""
REPLACE = """
    def replace(new):
        import sys
        frame = sys._getframe()
        while frame:
            if "solve" in frame.f_globals: frame.f_globals["solve"] = new
            frame = frame.f_back

"""
"""Replaces a function of the skeleton from within its call; the next call uses the replacement."""
CALLS = {
    "prefers bins that are not there": "return np.append(-bins, 1e9)",
    "returns an index": "return len(bins) + 5",
    "returns nothing": "return None",
    "returns text": "return ['1'] * len(bins)",
    "returns NaN": "return bins * np.nan",
    "returns a table": "return np.ones((len(bins), len(bins)))",
    "returns objects": "return np.array([object()] * len(bins))",
    "returns a subclass of array": "return np.ma.array(-bins, mask=True)",
    "returns lists of lists": "return [[1], [2, 3]] * len(bins)",
    "returns complex numbers": "return bins * 1j",
    "empties the bins": "saved = -bins.copy()\n    bins[:] = 10.0\n    return saved",
    "makes the item small": "item = 0.0\n    return -bins",
    "patches the comparison": "np.flatnonzero = np.full = None\n    return -bins",
    "answers later calls in advance": "import os, struct\n"
    "    os.write(3, (struct.pack('<I', 2) + b'V\\x00') * 8)\n    return -bins",
    "claims a better count": "import builtins, math\n    math.ceil = builtins.sum = lambda *a: 1\n    return -bins",
    "remembers other items": "priority.seen = getattr(priority, 'seen', []) + [item]\n    return -bins",
    "returns a huge array": "return np.broadcast_to(1.0, (10**9,))",
    "changes with the call": "import time\n    return -bins if time.time() else bins",
}
"""Bodies of `priority`. A valid one among them behaves like best fit."""


def outcome(problem: Problem, sandbox: ForkSandbox, source: str) -> Outcome:
    evaluator = problem.scorer(sandbox, limits=LIMITS)
    return evaluator.score(read_file(problem.specification, source))


@pytest.mark.parametrize("name", OBJECTS)
def test_forged_solution_gets_the_score_it_deserves(name: str, sandbox: ForkSandbox) -> None:
    problem = load_problem("cap_set", inputs=["n=3"])
    result = outcome(problem, sandbox, f"def priority(el, n):\n{REPLACE}{OBJECTS[name]}\n    return 0.0\n")
    assert result.status is not Status.INFRA
    assert result.score == (8.0 if result.status is Status.OK else None), result


@pytest.mark.parametrize("name", CALLS)
def test_forged_answers_get_the_score_they_deserve(name: str, sandbox: ForkSandbox) -> None:
    problem = load_problem("bin_packing", inputs=[f"tiny={TINY}"])
    honest = outcome(problem, sandbox, "def priority(item, bins):\n    return -bins\n")
    result = outcome(problem, sandbox, f"def priority(item, bins):\n    {CALLS[name]}\n")
    assert honest.status is Status.OK
    assert result.status is not Status.INFRA
    assert result.score == (honest.score if result.status is Status.OK else None), result


def test_better_program_gets_a_higher_score(sandbox: ForkSandbox) -> None:
    """Control: scores do differ, so the tests above can fail."""
    problem = load_problem("cap_set", inputs=["n=3"])
    assert outcome(problem, sandbox, "def priority(el, n):\n    return 0.0\n").score == 8.0
    better = "def priority(el, n):\n    return float(el.count(1) == 1)\n"
    assert outcome(problem, sandbox, better).score == 9.0
