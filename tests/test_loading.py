"""Finding and loading problems by name, by path and from packages, and the messages about invalid ones."""

import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import funsearch
from funsearch.core.evaluator import Outcome
from funsearch.core.problem import ProblemEvaluator
from funsearch.core.records import Function, Status
from funsearch.errors import ProblemError
from funsearch.loading import (
    InputText,
    Problem,
    ProblemSource,
    find_problem,
    list_problems,
    load,
    load_problem,
    shipped,
)
from funsearch.testing import InProcessSandbox

SPECIFICATION = '''"""Finds a number."""
import funsearch

@funsearch.evolve
def guess(x):
    return 0.0
'''
EVALUATOR = """import funsearch

class Closeness(funsearch.ProblemEvaluator):
    inputs = {"three": 3.0}
    heldout = {"seven": 7.0}

    def evaluate(self, candidate, value):
        return -abs(candidate.guess(value) - value)
"""
ONE_FILE = '''"""Scores a function by its sum."""
import funsearch

SCALE = 10


def total(n):
    return SCALE * sum(weigh(i) for i in range(n))


@funsearch.run
def evaluate(n):
    return total(n)


@funsearch.evolve
def weigh(i):
    return i
'''

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a problem's files and returns the path of the specification."""

    def write(specification: str | bytes = SPECIFICATION, evaluator: str | bytes | None = EVALUATOR) -> Path:
        for folder, content in (("problems", specification), ("evaluators", evaluator)):
            if content is not None:
                (tmp_path / folder).mkdir(exist_ok=True)
                file = tmp_path / folder / "near.py"
                file.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "problems" / "near.py"

    return write


def score(problem: Problem, body: str | None = None) -> Outcome:
    function = Function(body) if body else problem.specification.first
    evaluator = problem.scorer(InProcessSandbox())
    return evaluator.score(function)


def refusal(*args: Any, **kwargs: Any) -> str:
    with pytest.raises(ProblemError) as caught:
        load_problem(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("name", [info.name for info in shipped()])
def test_shipped_problem_loads_and_has_a_title_inputs_and_heldout_inputs(name: str) -> None:
    problem = load_problem(name)
    assert problem.name == problem.source.name == name
    assert problem.specification.title
    assert problem.inputs == dict(problem.evaluator.inputs)
    assert problem.heldout


def test_shipped_problems_are_listed_with_title_and_path() -> None:
    problems = {info.name: info for info in list_problems()}
    assert {"cap_set", "bin_packing"} <= set(problems)
    assert problems["cap_set"].title == "Finds large cap sets: sets of vectors in F_3^n with no three on a line."
    assert problems["cap_set"].origin == "funsearch"
    assert Path(problems["cap_set"].path).is_file()


def test_specification_and_evaluator_are_found_by_path(write: Write) -> None:
    problem = load_problem(str(write()))
    assert (problem.name, problem.inputs, problem.heldout) == ("near", {"three": 3.0}, {"seven": 7.0})
    assert score(problem).scores == {"three": -3.0}


def test_evaluator_is_found_from_within_the_folder_of_the_specification(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write().parent)
    assert load_problem("near.py").source.evaluator == EVALUATOR


def test_evaluator_next_to_the_specification_is_found(write: Write) -> None:
    path = write(evaluator=None)
    path.with_name("near_evaluator.py").write_text(EVALUATOR)
    assert load_problem(str(path)).source.evaluator == EVALUATOR


def test_named_evaluator_takes_precedence(write: Write, tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text(EVALUATOR.replace("three", "another"))
    assert list(load_problem(str(write()), other).inputs) == ["another"]
    assert list(load_problem(str(write(ONE_FILE)), other).inputs) == ["another"]


def test_problem_can_be_loaded_from_plain_text(write: Write) -> None:
    source = find_problem(str(write()), inputs=["n=4"])
    plain = asdict(source)
    assert plain == {
        "name": "near",
        "specification": SPECIFICATION,
        "evaluator": EVALUATOR,
        "inputs": ({"name": "n", "text": "4", "from_file": False},),
    }
    plain["inputs"] = tuple(InputText(**text) for text in plain["inputs"])
    (write().parent.parent / "evaluators" / "near.py").unlink()
    assert score(load(ProblemSource(**plain))).scores == {"n": -4.0}


def test_byte_order_marks_and_windows_newlines_are_accepted(write: Write) -> None:
    mark = b"\xef\xbb\xbf"
    path = write(mark + SPECIFICATION.replace("\n", "\r\n").encode(), mark + EVALUATOR.encode())
    assert score(load_problem(str(path))).status is Status.OK


def test_finding_executes_nothing(write: Write) -> None:
    find_problem(str(write(evaluator="raise SystemExit")))


def test_inputs_from_the_user_replace_those_of_the_problem_in_order(write: Write, tmp_path: Path) -> None:
    (tmp_path / "four.json").write_text("[4.0]")
    problem = load_problem(str(write()), inputs=["b=(1, 'x=y')", f"a=@{tmp_path / 'four.json'}", " c = -2"])
    assert list(problem.inputs.items()) == [("b", (1, "x=y")), ("a", [4.0]), ("c", -2)]
    assert problem.heldout == {"seven": 7.0}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("n", "--input n: write NAME=VALUE"),
        ("=8", "--input =8: write NAME=VALUE"),
        ("n= ", "write NAME=VALUE"),
        ("n=eight", "--input n=eight: not a Python literal; quote a string, or pass a file as @FILE."),
        ("n=open('x')", "not a Python literal"),
        ("n=1 +", "not a Python literal"),
        ("n=\0", "not a Python literal"),
        ("n=" + "(" * 5000, "not a Python literal"),
        ("n=@missing.json", "There is no file of the input n, missing.json."),
        ("n=@.", "Cannot read the file of the input n, .: Is a directory."),
    ],
)
def test_invalid_input_is_refused_with_a_remedy(option: str, message: str, write: Write) -> None:
    assert message in refusal(str(write()), inputs=[option])


def test_repeated_input_is_refused(write: Write) -> None:
    assert "--input n is given more than once" in refusal(str(write()), inputs=["n=1", "m=2", "n=3"])


def test_input_file_that_is_not_json_is_refused(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{'n': 1}")
    assert refusal(str(write()), inputs=[f"n=@{file}"]).startswith("--input n=@...: Expecting property name")
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(str(write()), inputs=[f"n=@{file}"])


def test_problem_may_read_and_check_inputs_itself(write: Write, tmp_path: Path) -> None:
    own = """
    def read_input(self, text):
        return float(text.splitlines()[1])

    def check_input(self, value):
        if not value > 0:
            raise ValueError(f"{value} is not positive")
        return value * 2
"""
    path, file = str(write(evaluator=EVALUATOR + own)), tmp_path / "x.txt"
    file.write_text("two\n2\n")
    assert load_problem(path, inputs=["a=1", f"b=@{file}"]).inputs == {"a": 2, "b": 4.0}
    assert load_problem(path).inputs == {"three": 3.0}
    assert refusal(path, inputs=["a=-1"]) == "--input a=-1: -1 is not positive."
    assert "--input a='x' cannot be read: TypeError" in refusal(path, inputs=["a='x'"])
    file.write_text("")
    assert "cannot be read: IndexError" in refusal(path, inputs=[f"a=@{file}"])


def test_unknown_name_is_refused_with_a_suggestion() -> None:
    assert refusal("cap_sets") == "There is no problem called cap_sets: did you mean cap_set?"
    assert "see `funsearch problems`" in refusal("zzzzzz")


def test_name_of_a_local_file_is_refused_with_its_path(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write().parent.parent)
    assert refusal("near").endswith(f"give its path, {Path('problems/near.py')}.")
    monkeypatch.chdir("problems")
    assert refusal("near").endswith("give its path, near.py.")


def test_path_that_is_not_a_python_file_is_refused(tmp_path: Path) -> None:
    assert "x.txt is not a problem: use a name" in refusal(str(tmp_path / "x.txt"))
    assert "There is no problem file" in refusal(str(tmp_path / "x.py"))
    (tmp_path / "folder.py").mkdir()
    assert "Is a directory" in refusal(str(tmp_path / "folder.py"))


def test_unreadable_files_are_refused_with_their_path(write: Write) -> None:
    assert re.search(r"problem file .*near.py: it is not UTF-8", refusal(str(write(specification=b"\xff"))))
    assert re.search(r"evaluator .*near.py: it is not UTF-8", refusal(str(write(SPECIFICATION, b"\xff"))))


def test_error_in_the_specification_names_the_path_and_line(write: Write) -> None:
    path = write(SPECIFICATION + "\ndef broken(:\n")
    assert refusal(str(path)).startswith(f"{path}:8: ")


def test_missing_evaluator_is_refused_with_all_remedies(write: Write, tmp_path: Path) -> None:
    message = refusal(str(write(evaluator=None)))
    for remedy in ("../evaluators/near.py", "near_evaluator.py", "--evaluator", "@funsearch.run"):
        assert remedy in message
    assert "There is no evaluator" in refusal(str(write()), tmp_path / "nowhere.py")


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        ("x = 1\n", "evaluators/near.py has no class derived from funsearch.ProblemEvaluator"),
        ("from funsearch import ProblemEvaluator\n", "has no class"),
        (EVALUATOR + EVALUATOR.replace("Closeness", "Other"), "has Closeness and Other derived from"),
        (EVALUATOR.replace("def evaluate", "def score"), "Closeness has no method `evaluate("),
        ("import funsearch\n\n1 / 0\n", "evaluators/near.py:3 raised ZeroDivisionError: division by zero."),
        ("import nothing_of_the_kind\n", "evaluators/near.py:1 raised ModuleNotFoundError"),
        ("import sys\nsys.exit(1)\n", "evaluators/near.py:2 raised SystemExit"),
        ("x = 1\ny = (\n", "evaluators/near.py:2: '(' was never closed."),
        (EVALUATOR + "    def __init__(self, x): ...\n", "Closeness() raised TypeError"),
        (EVALUATOR + "    inputs = [3]\n", "`inputs` of near is [3]: make it a dict"),
        (EVALUATOR + "    inputs = {3: 3}\n", "`inputs` of near is {3: 3}: make it a dict with string keys"),
        (EVALUATOR + "    heldout = None\n", "`heldout` of near is None"),
        (EVALUATOR + "    inputs = {}\n", "near has no inputs: give some with --input NAME=VALUE, or set `inputs`"),
        (EVALUATOR + "    reduction = 'max'\n", "`reduction` of near is 'max': make it 'last' or 'mean'."),
        (EVALUATOR + "    partial = True\n", "`partial` of near is True: make it 'reject' or 'keep'."),
        (EVALUATOR + "    thresholds = 5\n", "`thresholds` of near is 5: make it a dict of scores by input."),
        (
            EVALUATOR + "    thresholds = {'n': 1.0}\n",
            "`thresholds` of near has the key n, which is not an input followed by others: use at least two inputs.",
        ),
        (EVALUATOR + "    thresholds = {'n': 'x'}\n", "`thresholds` of near has 'x' for n: make it a number."),
        (EVALUATOR + "    limits = 5\n", "`limits` of near is 5: make it funsearch.Limits(...)."),
    ],
)
def test_invalid_evaluator_is_refused_with_the_reason(evaluator: str, message: str, write: Write) -> None:
    assert message in refusal(str(write(evaluator=evaluator)))


def test_abstract_classes_imports_and_aliases_do_not_count_as_evaluators(write: Write) -> None:
    text = "from funsearch.evaluators.cap_set import CapSet\n" + EVALUATOR.replace(
        "class Closeness(funsearch.ProblemEvaluator):",
        "class Base(funsearch.ProblemEvaluator): ...\n\nclass Closeness(Base):",
    )
    assert type(load_problem(str(write(evaluator=text + "\nAlias = Closeness\n"))).evaluator).__name__ == "Closeness"


def test_evaluator_may_hold_dataclasses_and_future_annotations(write: Write) -> None:
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + EVALUATOR
    text += "\n@dataclass(kw_only=True)\nclass Thing:\n    x: int\n\nTHING = Thing(x=1)\n"
    assert score(load_problem(str(write(evaluator=text)))).status is Status.OK


def test_error_in_an_evaluator_is_reported_with_its_line(write: Write) -> None:
    problem = load_problem(str(write(evaluator=EVALUATOR.replace("return -abs", "return -abc"))))
    assert score(problem).error.endswith("name 'abc' is not defined (line 8 of the evaluator)")


def test_one_file_runs_its_evaluate_outside_the_sandbox(write: Write) -> None:
    problem = load_problem(str(write(ONE_FILE, None)), inputs=["four=4", "two=2"])
    outcome = score(problem)
    assert (outcome.status, dict(outcome.scores)) == (Status.OK, {"four": 60, "two": 10})
    assert score(problem, "    return SCALE\n").scores == {"four": 400, "two": 200}
    assert score(problem, "    return evaluate(i)\n").status is Status.RUNTIME_ERROR


def test_one_file_requires_inputs(write: Write) -> None:
    assert refusal(str(write(ONE_FILE, None))) == (
        "near has no inputs: give some with --input NAME=VALUE, or set INPUTS = {...} in near.py."
    )
    problem = load_problem(str(write(ONE_FILE + "\nINPUTS = {'five': 5}\nHELDOUT = {'six': 6}\n", None)))
    assert (problem.inputs, problem.heldout) == ({"five": 5}, {"six": 6})
    assert "`inputs` of near is 5" in refusal(str(write(ONE_FILE + "\nINPUTS = 5\n", None)))


def test_one_file_unpacks_a_sequence_to_several_parameters(write: Write) -> None:
    text = ONE_FILE.replace(
        "def evaluate(n):\n    return total(n)", "def evaluate(n, w, z=0):\n    return total(n) + w + z"
    )
    problem = load_problem(str(write(text, None)), inputs=["a=(2, 5)", "b=[2, 5, 1]"])
    assert score(problem).scores == {"a": 15, "b": 16}
    assert "--input a=3: evaluate takes 2 arguments: give a tuple" in refusal(str(write(text, None)), inputs=["a=3"])
    assert "evaluate takes 2 arguments" in refusal(str(write(text, None)), inputs=["a=(3,)"])


def test_one_file_passes_a_tuple_to_a_single_parameter(write: Write) -> None:
    text = ONE_FILE.replace("return total(n)", "return total(n[0]) + n[1]")
    assert score(load_problem(str(write(text, None)), inputs=["a=(2, 5)"])).scores == {"a": 15}


def test_one_file_keeps_no_state_between_candidates(write: Write) -> None:
    text = ONE_FILE.replace("def total", "import functools\n\n@functools.cache\ndef total")
    problem = load_problem(str(write(text, None)), inputs=["n=3"])
    assert score(problem, "    return 1\n").score == 30
    assert score(problem, "    return 2\n").score == 60


def test_one_file_may_refuse_solutions(write: Write) -> None:
    text = ONE_FILE.replace("    return total(n)", "    raise funsearch.InvalidSolution('no')")
    outcome = score(load_problem(str(write(text, None)), inputs=["n=3"]))
    assert (outcome.status, outcome.error) == (Status.INVALID_SOLUTION, "no")


def test_one_file_whose_evaluate_has_no_parameters_is_refused(write: Write) -> None:
    text = ONE_FILE.replace("evaluate(n)", "evaluate()").replace("total(n)\n\n\n@", "total(3)\n\n\n@")
    assert "near.py: evaluate takes no input" in refusal(str(write(text, None)), inputs=["n=3"])


def test_two_evaluators_are_refused_unless_one_is_named(write: Write) -> None:
    message = refusal(str(write(ONE_FILE)))
    assert "marks evaluate with @funsearch.run" in message
    assert "--evaluator" in message


def test_examples_in_the_documentation_run(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / "problems.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    specification, evaluator, _thresholds, _notes, draw, one_file = blocks
    pair = load(ProblemSource("knapsack", specification, evaluator))
    assert (score(pair).status, score(pair).scores) == (Status.OK, {"small": 6.0})
    assert score(pair, "    return value / weight\n").scores == {"small": 9.0}
    drawing = evaluator.replace("\n\ndef verified", textwrap.indent(draw, "    ") + "\n\ndef verified")
    drawn = load(ProblemSource("knapsack", specification, drawing))
    artist = drawn.scorer(InProcessSandbox())
    assert artist.draw(drawn.specification.first, "small").axes[0].get_title() == "1 items in a knapsack of 6"
    single = load(ProblemSource("single", one_file, ""))
    assert score(single).scores == {"ten": 0.0}
    assert score(single, "    return i\n").scores == {"ten": 45.0}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution that declares two problems, one of them broken."""
    for folder, text in (("problems", SPECIFICATION), ("evaluators", EVALUATOR)):
        (tmp_path / "my_package" / folder).mkdir(parents=True)
        (tmp_path / "my_package" / folder / "near.py").write_text(text)
    (tmp_path / "broken.py").write_text("raise RuntimeError\n")
    metadata = tmp_path / "my_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[funsearch.problems]\nclosest = my_package.problems.near\nlost = broken.problems.lost\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield metadata
    for name in [name for name in sys.modules if name.split(".")[0] in ("my_package", "broken")]:
        del sys.modules[name]


def test_installed_problem_is_found_under_the_name_of_its_entry_point(package: Path) -> None:
    problems = {info.name: info for info in list_problems()}
    assert (problems["closest"].title, problems["closest"].origin) == ("Finds a number.", "my-package")
    problem = load_problem("closest")
    assert (problem.name, score(problem).score) == ("closest", -3.0)


def test_broken_package_does_not_hide_other_problems(package: Path) -> None:
    problems = {info.name: info for info in list_problems()}
    assert problems["lost"].title == "(cannot be read)"
    assert {"cap_set", "closest"} <= set(problems)
    assert "There is no problem file broken/problems/lost.py" in refusal("lost")


def test_name_used_by_several_packages_is_refused(package: Path) -> None:
    (package / "entry_points.txt").write_text("[funsearch.problems]\ncap_set = my_package.problems.near\n")
    message = refusal("cap_set")
    assert "Several problems are called cap_set" in message
    assert "(from my-package)" in message


def test_user_evaluators_are_instances_of_the_public_class(write: Write) -> None:
    assert isinstance(load_problem(str(write())).evaluator, ProblemEvaluator)
    assert funsearch.ProblemEvaluator is ProblemEvaluator


@pytest.mark.parametrize("inputs", [{"n": 3}, ["n=3"], ("n=3",)])
def test_inputs_are_given_from_python_as_a_dict_or_as_texts(inputs: Any) -> None:
    assert load_problem("cap_set", inputs=inputs).inputs == {"n": 3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 3}, "name = 3: give the name of a problem"),
        ({"name": None}, "name = None"),
        ({"evaluator": 3}, "evaluator = 3: give the path"),
        ({"inputs": "n=3"}, "inputs = 'n=3': give a dict"),
        ({"inputs": [3]}, r"inputs = \[3\]"),
        ({"inputs": {"n": object()}}, "not a Python literal"),
    ],
)
def test_argument_that_cannot_be_used_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        load_problem(**{"name": "cap_set", **arguments})


@pytest.mark.parametrize("mark", [funsearch.evolve, funsearch.run])
def test_marks_decorate_functions_only(mark: Any) -> None:
    assert mark(len) is mark()(len) is len
    with pytest.raises(ProblemError, match="decorates a function, not 3"):
        mark(3)


@pytest.mark.parametrize(
    "limits", [{"seconds": 0}, {"seconds": "x"}, {"memory_mb": -1}, {"threads": True}, {"modules": "scipy"}]
)
def test_limits_that_cannot_be_kept_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(limits))} = .*: must be"):
        funsearch.Limits(**limits)
