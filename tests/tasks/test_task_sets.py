"""Task sets: prompts, splits and verifiers, and a clear message for a task file that cannot be used."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from funsearch.core.ports import Sandbox
from funsearch.errors import FunsearchError, TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import TaskSet
from funsearch.rest_em.records import Grade, Split, Task
from funsearch.tasks.maths import boxed
from funsearch.tasks.opening import list_task_sets, open_task_set
from funsearch.tasks.reasoning import final_answer
from funsearch.testing import InProcessSandbox

SMALL = TaskOptions(count=20, heldout=10, transfer=6, shots=0)


def write(path: Path, *objects: Any) -> str:
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in objects))
    return str(path)


def no_search(name: str) -> TaskSet:
    raise AssertionError(f"{name} was opened as a search")


def open_set(spec: str, options: TaskOptions = SMALL) -> TaskSet:
    return open_task_set(spec, options, no_search)


def no_sandbox() -> Sandbox:
    raise AssertionError("this verifier does not need a sandbox")


def sums(path: Path, count: int = 60, **more: Any) -> str:
    lines = [{"prompt": f"{i}+{i}=", "answer": str(2 * i), "family": f"f{i % 3}", **more} for i in range(count)]
    return write(path, *lines)


def test_shipped_task_sets_are_listed() -> None:
    task_sets = {info.name: info for info in list_task_sets()}
    assert {"reasoning", "math", "code", "exact", "run"} <= task_sets.keys()
    assert all(info.title.endswith(".") for info in task_sets.values())


def test_splits_are_disjoint_seeded_and_follow_the_families(tmp_path: Path) -> None:
    task_set = open_set(sums(tmp_path / "sums.jsonl"))
    options = TaskOptions(count=20, heldout=10, transfer=6, transfer_families=("f1",))
    tasks = task_set.tasks(options, chat=False, seed=0)
    assert [task.index for task in tasks] == list(range(36))
    of = {split: [task for task in tasks if task.split is split] for split in Split}
    assert [len(of[split]) for split in (Split.TRAIN, Split.HELDOUT, Split.TRANSFER)] == [20, 10, 6]
    assert {task.family for task in of[Split.TRANSFER]} == {"f1"}
    assert {task.family for task in of[Split.HELDOUT]} == {task.family for task in of[Split.TRAIN]} == {"f0", "f2"}
    assert len({task.key for task in tasks}) == 36
    assert tasks == task_set.tasks(options, chat=False, seed=0)
    assert tasks != task_set.tasks(options, chat=False, seed=1)


def test_splits_in_the_file_are_kept(tmp_path: Path) -> None:
    lines = [{"prompt": str(i), "answer": "1", "split": "test" if i < 5 else "train"} for i in range(10)]
    tasks = open_set(write(tmp_path / "x.jsonl", *lines)).tasks(SMALL, chat=False, seed=0)
    assert {task.prompt for task in tasks if task.split is Split.HELDOUT} == set("01234")


def test_choice_of_families_applies_to_lines_with_a_split(tmp_path: Path) -> None:
    lines = [
        {"prompt": f"{i}{f}", "answer": "2", "family": f, "split": split}
        for i, split in enumerate(["train", "validation"] * 5)
        for f in "xyz"
    ]
    path = write(tmp_path / "three.jsonl", *lines)
    options = TaskOptions(families=("x",), transfer_families=("y",))
    tasks = open_set(path, options).tasks(options, chat=False, seed=0)
    found = {(task.family, str(task.split)) for task in tasks}
    assert found == {("x", "train"), ("x", "heldout"), ("y", "transfer")}


def test_duplicate_question_is_in_one_split_only(tmp_path: Path) -> None:
    lines = [{"prompt": f"{i % 30}", "answer": "2", "key": str(i)} for i in range(60)]
    lines += [{"prompt": "7", "answer": "2", "key": "seven", "split": "transfer"}]
    tasks = open_set(write(tmp_path / "twice.jsonl", *lines)).tasks(TaskOptions(heldout=10), chat=False, seed=0)
    assert sorted(int(task.prompt) for task in tasks) == list(range(30))
    assert [task.key for task in tasks if task.split is Split.TRANSFER] == ["seven"]


def test_exact_answers_are_compared_by_their_first_line(tmp_path: Path) -> None:
    task_set = open_set(sums(tmp_path / "sums.jsonl"))
    task = Task(index=0, key="k", family="f", split=Split.TRAIN, prompt="7+7=", reference={"answer": "14"})
    verifier = task_set.verifier(SMALL)(no_sandbox)
    assert verifier.grade(task, " 14 \n15+15=30") == Grade(1.0, "14", ("14",))
    assert verifier.grade(task, "15").reward == 0.0
    assert verifier.grade(task, "").reward == 0.0


def test_verifiers_can_be_pickled(tmp_path: Path) -> None:
    for task_set in (open_set("reasoning"), open_set(sums(tmp_path / "sums.jsonl"))):
        pickle.loads(pickle.dumps(task_set.verifier(SMALL)))(no_sandbox).close()


def test_reasoning_has_several_families_and_exact_verifiers() -> None:
    pytest.importorskip("reasoning_gym")
    task_set = open_set("reasoning")
    options = TaskOptions(count=40, heldout=16, transfer=8)
    tasks = task_set.tasks(options, chat=False, seed=0)
    trained = {task.family for task in tasks if task.split is Split.TRAIN}
    assert len(trained) >= 3
    assert trained.isdisjoint(task.family for task in tasks if task.split is Split.TRANSFER)
    assert tasks[0].prompt.count("Question: ") == 4
    assert tasks[0].prompt.endswith("\nAnswer:")
    assert len({task.prompt for task in tasks}) == len(tasks)
    verifier = task_set.verifier(options)(no_sandbox)
    for task in tasks:
        answer = str(task.reference["entry"]["answer"])
        assert verifier.grade(task, f" {answer}\n").reward == 1.0, task
        assert verifier.grade(task, f"x{answer}x\nQuestion").reward == 0.0
    assert "Question:" not in task_set.tasks(options, chat=True, seed=0)[0].prompt
    json.dumps([task.reference for task in tasks])


def test_reasoning_family_can_be_chosen_and_made_harder() -> None:
    pytest.importorskip("reasoning_gym")
    config = {"chain_sum": {"min_terms": 4, "max_terms": 4}}
    options = TaskOptions(
        count=10, heldout=5, transfer=0, families=("chain_sum",), transfer_families=(), config=config, shots=0
    )
    tasks = open_set("reasoning").tasks(options, chat=False, seed=0)
    assert {task.family for task in tasks} == {"chain_sum"}
    assert all(task.prompt.count(" + ") + task.prompt.count(" - ") == 3 for task in tasks)
    with pytest.raises(TrainingError, match="no family nonsense"):
        open_set("reasoning").tasks(TaskOptions(families=("nonsense",)), chat=False, seed=0)


@pytest.mark.parametrize(
    ("text", "answer"),
    [(" 12\nQuestion: 3", "12"), ("It is <answer>12</answer>.", "12"), ("So.\nAnswer: 12", "12"), ("", "")],
)
def test_final_answer(text: str, answer: str) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"\boxed{\frac{1}{2}} and \boxed{3}", "3"),
        (r"\boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        ("none", None),
        (r"\boxed{3", None),
    ],
)
def test_content_of_the_last_box_is_the_answer(text: str, inside: str | None) -> None:
    assert boxed(text) == inside


def mathematics(path: Path) -> str:
    lines = [
        {
            "problem": f"Halve {i}.",
            "level": "Level 1",
            "type": "Algebra",
            "solution": rf"It is $\boxed{{\frac{{{i}}}{{2}}}}$.",
        }
        for i in range(1, 40)
    ]
    return write(path, *lines)


@pytest.mark.parametrize(
    ("splits", "heldout"),
    [({"train": 20, "test": 5, "extra": 5}, {"test"}), ({"train": 20}, {"train"}), ({"odd": 20}, {"odd"})],
)
def test_splits_of_a_dataset_are_kept_if_they_include_a_held_out_one(
    splits: dict[str, int], heldout: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="the trainer is not installed: make setup")
    rows = {
        split: [{"problem": f"{split} {i}", "answer": str(i), "type": "Algebra"} for i in range(count)]
        for split, count in splits.items()
    }
    monkeypatch.setattr(datasets, "load_dataset", lambda name: rows)
    tasks = open_set("math:somebody/sums").tasks(TaskOptions(shots=0), chat=False, seed=0)
    assert {task.key.partition("/")[0] for task in tasks if task.split is Split.HELDOUT} == heldout
    assert "extra" not in {task.key.partition("/")[0] for task in tasks}


def test_mathematics_is_compared_as_mathematics(tmp_path: Path) -> None:
    pytest.importorskip("math_verify")
    task_set = open_set(mathematics(tmp_path / "math.jsonl"))
    tasks = task_set.tasks(TaskOptions(count=10, heldout=5, transfer=0), chat=False, seed=0)
    assert {task.family for task in tasks} == {"Algebra"}
    assert tasks[0].prompt.count("Solution:") == 4
    verifier = task_set.verifier(SMALL)(no_sandbox)
    task = Task(index=0, key="k", family="f", split=Split.TRAIN, prompt="", reference={"answer": r"\frac{1}{2}"})
    assert verifier.grade(task, r"Thus \boxed{0.5}").reward == 1.0
    assert verifier.grade(task, r"so it is $\frac{2}{4}$").reward == 1.0
    assert verifier.grade(task, r"\boxed{2}").reward == 0.0
    assert verifier.grade(task, "I do not know").reward == 0.0


APPS = {
    "question": "Add them.",
    "input_output": json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]}),
    "difficulty": "introductory",
}
NAMED = {
    "question": "Add them.",
    "input_output": {"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[3], 7]},
    "starter_code": "class Solution:\n    def add(self, a, b):",
}
HUMAN = {
    "task_id": "x/0",
    "prompt": 'def one():\n    return 1\n\ndef add(a, b):\n    """Adds."""\n',
    "entry_point": "add",
    "test": "def check(candidate):\n    assert candidate(1, one()) == 2\n    assert candidate(3, 4) == 7\n",
}
ANSWERS = [
    (APPS, "a, b = map(int, input().split())\nprint(a + b)\n", True),
    (
        APPS,
        "Here it is:\n```python\nimport sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit()\n```\n",
        True,
    ),
    (APPS, "print(3)\n", False),
    (APPS, "this is no code (", False),
    (APPS, "raise ValueError('x')", False),
    (NAMED, "def add(a, b):\n    return a + b\n", True),
    (NAMED, "class Solution:\n    def add(self, a, b):\n        return a + b\n", True),
    (NAMED, "def sub(a, b):\n    return a - b\n", False),
    (NAMED, "def add(a, b):\n    return str(a + b)\n", False),
    (HUMAN, "    return a + b\n", True),
    (HUMAN, "```python\ndef add(a, b):\n    return a + one() * b\n```", True),
    (HUMAN, "    return a - b\n", False),
    (HUMAN, "    return a +\n", False),
]


def four(line: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns four tasks that differ in a comment."""
    name = "question" if "question" in line else "prompt"
    return [{**line, "key": i, name: f"# {i}\n{line[name]}"} for i in range(4)]


@pytest.mark.parametrize(("line", "text", "correct"), ANSWERS)
def test_code_is_graded_by_its_tests(line: dict[str, Any], text: str, correct: bool, tmp_path: Path) -> None:
    path = write(tmp_path / "code.jsonl", *four(line))
    task_set = open_set(path)
    task = task_set.tasks(SMALL, chat=False, seed=0)[0]
    verifier = task_set.verifier(SMALL)(InProcessSandbox)
    grade = verifier.grade(task, text)
    assert bool(grade.reward) is correct, grade
    assert bool(grade.error) is not correct


def test_code_runs_confined(tmp_path: Path) -> None:
    from funsearch.sandbox import open_sandbox

    path = write(tmp_path / "code.jsonl", *four(APPS))
    task_set = open_set(path)
    task = task_set.tasks(SMALL, chat=False, seed=0)[0]
    verifier = task_set.verifier(TaskOptions(seconds=1.0))(open_sandbox)
    try:
        assert verifier.grade(task, ANSWERS[0][1]).reward == 1.0
        assert verifier.grade(task, ANSWERS[1][1]).reward == 1.0
        assert "TIMEOUT" in verifier.grade(task, "while True: pass").error
        assert verifier.grade(task, f"print(open({str(tmp_path / 'code.jsonl')!r}).read())").reward == 0.0
        assert verifier.grade(task, "import os\nos.kill(os.getpid(), 9)").reward == 0.0
        assert verifier.grade(task, ANSWERS[0][1]).reward == 1.0
    finally:
        verifier.close()


def test_programs_that_differ_in_layout_are_duplicates(tmp_path: Path) -> None:
    task_set = open_set(write(tmp_path / "code.jsonl", *four(APPS)))
    task = task_set.tasks(SMALL, chat=False, seed=0)[0]
    verifier = task_set.verifier(SMALL)(InProcessSandbox)
    commented, plain = verifier.grade(task, "print( 3 ) # so\n"), verifier.grade(task, "print(3)")
    assert commented.keys == plain.keys != verifier.grade(task, "print(4)").keys


EXACT = {"prompt": "1+1=", "answer": "2"}
BAD = [
    ([EXACT, {"prompt": "1+1="}], r"tasks.jsonl:2: there is no field `answer`"),
    ([EXACT, "{oops"], r"tasks.jsonl:2: not JSON"),
    ([EXACT, "[1]"], r"tasks.jsonl:2: .* is not a JSON object"),
    ([EXACT, {"prompt": 3, "answer": "2"}], r"tasks.jsonl:2: `prompt` is 3, not text"),
    ([{**EXACT, "split": "dev"}], r"tasks.jsonl:1: `split` is 'dev': write train, heldout or transfer"),
    ([{**EXACT, "split": ["train"]}], r"tasks.jsonl:1: `split` is \['train'\]: write train"),
    ([{"question": "what?"}], r"tasks.jsonl:1: no task set has these fields"),
    ([], r"tasks.jsonl has no tasks"),
    ([EXACT], r"has no held-out tasks \(of 1 tasks in total\)"),
    ([{**EXACT, "split": split} for split in ("held", "heldout")], r"no tasks to train on"),
    ([{**EXACT, "key": "a"}, {**EXACT, "key": "a"}], r"two tasks called a"),
    ([APPS, {**APPS, "input_output": "{oops"}], r"tasks.jsonl:2: `input_output` is not JSON"),
    ([{**APPS, "input_output": {"inputs": [1], "outputs": []}}], r"tasks.jsonl:1: `input_output` needs"),
    ([{**HUMAN, "test": "def check(:"}], r"tasks.jsonl:1: `test` is not valid Python"),
    ([{"problem": "p", "solution": "no box"}], r"tasks.jsonl:1: `solution` has no \\boxed"),
    ([{"problem": "p"}], r"tasks.jsonl:1: there is no field `solution`"),
]


@pytest.mark.parametrize(("lines", "message"), BAD)
def test_error_names_the_line_of_the_task_file(lines: list[Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "tasks.jsonl", *lines)
    with pytest.raises(TrainingError, match=message) as caught:
        open_set(path).tasks(TaskOptions(shots=0), chat=False, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("reasonin", "did you mean reasoning"),
        ("run:", "needs the name of a search"),
        ("math", "needs a JSON Lines file"),
        ("missing.jsonl", "Cannot read the tasks in missing.jsonl"),
        ("reasoning:gcd", "tasks.families"),
    ],
)
def test_error_for_an_unknown_task_set_gives_the_remedy(spec: str, message: str) -> None:
    with pytest.raises(FunsearchError, match=message):
        open_set(spec)


def test_unknown_family_is_named(tmp_path: Path) -> None:
    options = TaskOptions(transfer_families=("f7",))
    with pytest.raises(TrainingError, match="no family f7: the families are f0, f1, f2"):
        open_set(sums(tmp_path / "sums.jsonl")).tasks(options, chat=False, seed=0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def riddles(argument, options):\n    return 1 / 0\n",
            r"riddles of guessing \(my_riddles:riddles\) .* by zero",
        ),
        ("import nothing_such\n", r"cannot be used: ModuleNotFoundError: .*nothing_such"),
        ("class riddles:\n    def __init__(self, *_):\n        self.name = 'r'\n", r"guessing has no stop, max_tokens"),
    ],
)
def test_error_names_the_package_of_a_broken_task_set(
    code: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "guessing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: guessing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[funsearch.task_sets]\nriddles = my_riddles:riddles\n")
    (tmp_path / "my_riddles.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_riddles", raising=False)
    with pytest.raises(TrainingError, match=message):
        open_set("riddles:all")
