"""The command line, in processes of its own: what scripts rely on, and one clear message for every error."""

import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from funsearch import Run
from funsearch.cli import VERBS
from funsearch.core.records import Status
from funsearch.storage import open_storage
from funsearch.testing.endpoint import FakeEndpoint

ANSWERS = ["    return float(sum(el))\n", "    return el[0] * 2.0 - el[-1]\n", "not code (\n", "    return 1 / 0\n"]


def funsearch(*args: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from funsearch.cli import main; main()", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}, timeout=300)


def answer(*args: object, cwd: Path) -> Any:
    done = funsearch(*args, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(*args: object, cwd: Path, **env: str) -> str:
    """Runs a command that must fail and returns its message: one last line, without a traceback."""
    done = funsearch(*args, cwd=cwd, **env)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    *progress, message = [line for line in done.stderr.splitlines() if line]
    assert message.startswith("Error: "), done.stderr
    shown = ("Run ", "starting: ", "running: ", "failed: ", "best ")
    assert all(line.startswith(shown) for line in progress), done.stderr
    assert done.stdout == ""
    return message


def test_check_shows_the_first_prompt_and_the_score(tmp_path: Path) -> None:
    checked = answer("check", "cap_set", "--input", "n=3", cwd=tmp_path)
    assert checked["status"] == "OK"
    assert checked["scores"] == {"n": 8.0}
    assert checked["prompt"].rstrip().endswith('"""Improved version of `priority_v0`."""')


def test_check_draws_what_the_first_program_builds(tmp_path: Path) -> None:
    done = funsearch("check", "cap_set", "--image", "small.svg", "--on", "n6", "--input", "n=3", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "wrote small.svg\n")
    assert "cap set in dimension 6: 64 vectors" in (tmp_path / "small.svg").read_text()
    assert funsearch("check", "cap_set", "--image", "small.svg", "--input", "n=3", cwd=tmp_path).returncode == 0
    assert "cap set in dimension 3: 8 vectors" in (tmp_path / "small.svg").read_text()


def test_check_scores_the_baselines_too(tmp_path: Path) -> None:
    checked = answer("check", "no_three_in_line", "--input", "n=5", "--baselines", cwd=tmp_path)
    assert checked["baselines"]["Erdős"]["heldout"] == {"n13": 21.0, "n17": 28.0}
    assert checked["baselines"]["first program"]["scores"] == checked["scores"]
    assert "Erdős" in funsearch("check", "no_three_in_line", "--baselines", cwd=tmp_path).stdout


def test_new_problem_runs_at_once_and_is_not_overwritten(tmp_path: Path) -> None:
    assert funsearch("init", "my_problem", cwd=tmp_path).returncode == 0
    checked = answer("check", "problems/my_problem.py", cwd=tmp_path)
    assert (checked["status"], checked["problem"]) == ("OK", "my_problem")
    assert checked["scores"]["n200"] > checked["scores"]["n100"] > 20
    assert funsearch("check", "problems/my_problem.py", "--image", "mine.svg", cwd=tmp_path).returncode == 0
    assert f"n = 200: {checked['score']:g} numbers" in (tmp_path / "mine.svg").read_text()
    assert "already exists" in refusal("init", "my_problem", cwd=tmp_path)
    assert "cannot be the name of a problem" in refusal("init", "../x", cwd=tmp_path)


MISTAKES = {
    "returns nothing": ("return len(numbers)", "len(numbers)", "Return a number from `evaluate`"),
    "returns a string": ("return len(numbers)", "return 'many'", "finite number"),
    "input of a strange type": ('"n100": 100', '"n100": {1, 2}', "as plain data"),
    "calls a function that does not exist": (
        "candidate.solve(value)",
        "candidate.slove(value)",
        "that the specification defines",
    ),
    "passes wrong arguments": ("candidate.solve(value)", "candidate.solve(value, 3)", "takes 1 positional argument"),
    "raises an error": ("return len(numbers)", "return 1 + 'x'", "Fix the evaluator"),
    "refuses everything": ("return len(numbers)", "raise funsearch.InvalidSolution('no')", "refuses a valid one"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_in_an_evaluator_is_reported_with_its_remedy(mistake: str, tmp_path: Path) -> None:
    old, new, expected = MISTAKES[mistake]
    funsearch("init", "mine", cwd=tmp_path)
    evaluator = tmp_path / "evaluators" / "mine.py"
    text = evaluator.read_text()
    assert old in text
    evaluator.write_text(text.replace(old, new))
    done = funsearch("check", "problems/mine.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert expected in done.stderr.splitlines()[-1]


def test_slow_evaluator_causes_a_warning(tmp_path: Path) -> None:
    funsearch("init", "mine", cwd=tmp_path)
    evaluator = tmp_path / "evaluators" / "mine.py"
    slow = "import time; time.sleep(0.4); return len(numbers)"
    text = evaluator.read_text().replace("return len(numbers)", slow)
    evaluator.write_text(text.replace("    heldout", "    limits = funsearch.Limits(seconds=0.3)\n    heldout"))
    done = funsearch("check", "problems/mine.py", cwd=tmp_path)
    assert done.returncode == 0
    assert "Warning: evaluating the first program took longer" in done.stderr


def test_evaluate_gives_every_file_its_status(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("def priority(el, n):\n    return -float(sum(el))\n")
    (tmp_path / "slow.py").write_text("def priority(el, n):\n    while True: pass\n")
    (tmp_path / "broken.py").write_text("def priority(el, n:\n")
    command = ("evaluate", "cap_set", "good.py", "slow.py", "broken.py", "--input", "n=3", "--timeout", "1", "--json")
    done = funsearch(*command, cwd=tmp_path)
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["file"], line["status"]) for line in lines] == [
        ("good.py", "OK"),
        ("slow.py", "TIMEOUT"),
        ("broken.py", "COMPILE_ERROR"),
    ]
    assert lines[0]["score"] == lines[0]["scores"]["n"] > 0
    assert lines[1]["score"] is None


def test_problems_are_listed(tmp_path: Path) -> None:
    assert {"cap_set", "bin_packing"} <= {problem["name"] for problem in answer("problems", cwd=tmp_path)}


def test_every_verb_has_help(tmp_path: Path) -> None:
    for verb in VERBS:
        assert "Usage:" in funsearch(verb, "--help", cwd=tmp_path).stdout
    assert funsearch("run", "--nonsense", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("check", "cap_st"), "did you mean cap_set"),
        (("check", "missing.py"), "missing.py"),
        (("check", "none.py"), "No @funsearch.evolve in none"),
        (("check", "two.py"), "evolve"),
        (("check", "failing.py"), "no score: RUNTIME_ERROR"),
        (("check", "cap_set", "--input", "n=eight"), "Python literal"),
        (("check", "cap_set", "--input", "eight"), "NAME=VALUE"),
        (("check", "cap_set", "--input", "n=@missing.json"), "missing.json"),
        (("run", "cap_set", "--set", "database.islnds=4"), "did you mean database.islands"),
        (("run", "cap_set", "--sampler", "magic"), "Unknown sampler magic"),
        (("run", "cap_set", "--sampler", "python:f"), "Unknown sampler python:f"),
        (("run", "cap_set", "--max-cost", "1", "--sampler", "scripted:/dev/null"), "--max-cost needs a price list"),
        (("run", "cap_set", "--sampler", "scripted:missing.jsonl"), "missing.jsonl"),
        (("run", "cap_set", "--sampler", "vllm:./no-model"), "no-model"),
        (("run", "cap_set", "--config", "missing.toml"), "missing.toml"),
        (("run", "cap_set", "--track", "tensorbord:x", "--db", "new.db"), "Unknown tracker tensorbord:x"),
        (
            ("check", "cap_set", "--image", "x.gif"),
            "Cannot write a picture to x.gif: use a file name that ends in .png or .svg.",
        ),
        (("check", "cap_set", "--image", "none/x.svg"), "the folder none does not exist"),
        (("check", "cap_set", "--image", "x.svg", "--on", "n88"), "no input n88: did you mean n8?"),
        (("check", "cap_set", "--on", "n8"), "add --image FILE.png"),
        (("check", "plain.py", "--image", "x.svg"), "The problem has no pictures"),
        (("show", "first", "0", "--image", "x.gif"), "use a file name that ends in .png or .svg"),
        (("list",), "no database"),
        (("best", "absent", "--db", "sqlite:///missing.db"), "missing.db"),
        (("list", "--db", "nosuch://x"), "nosuch"),
    ],
)
def test_error_is_one_line(args: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    evaluate = "import funsearch\n@funsearch.run\ndef evaluate(n):\n    return f(n)\nINPUTS = {'n': 1}\n"
    evolve = "@funsearch.evolve\ndef {}(n):\n    return {}\n"
    (tmp_path / "none.py").write_text(evaluate)
    (tmp_path / "plain.py").write_text(evaluate + evolve.format("f", 1))
    (tmp_path / "two.py").write_text(evaluate + evolve.format("f", 1) + evolve.format("g", 1))
    (tmp_path / "failing.py").write_text(evaluate + evolve.format("f", "n / 0"))
    if "failing.py" in args:
        assert expected in funsearch(*args, cwd=tmp_path).stderr
    else:
        assert expected in refusal(*args, cwd=tmp_path)
    assert not list(tmp_path.glob("*.db")), "a run was started"


def test_unavailable_sandbox_level_is_refused_with_the_reason(tmp_path: Path) -> None:
    assert "bubblewrap" in refusal("run", "cap_set", "--sandbox", "L3", cwd=tmp_path, PATH=str(tmp_path))


@pytest.mark.ray
def test_search_on_ray_from_start_to_replay(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text.replace("2.0", f"{n}.0")}) for n in range(12) for text in ANSWERS]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n")
    command = ("run", "cap_set", "--input", "n=3", "--sampler", "scripted:answers.jsonl", "--name", "one")
    first = answer(*command, "--samples", 10, cwd=tmp_path)
    assert (first["samples"], first["stopped"], first["run"]) == (10, "samples", "one")
    again = answer("resume", "one", cwd=tmp_path)
    # The third prompt got two of its four answers and is not requested again.
    assert (again["samples"], again["stopped"]) == (46, "exhausted")
    assert again["evaluated"] + again["duplicates"] + 11 == 46
    assert again["sandbox"] in ("L1", "L2", "L3")

    listed = answer("list", cwd=tmp_path)
    assert [(run["run"], run["samples"], run["state"], run["stopped"]) for run in listed] == [
        ("one", 46, "finished", "exhausted")
    ]
    best = answer("best", "one", "--top", 3, cwd=tmp_path)
    assert best[0]["score"] == again["best_score"] == listed[0]["best_score"]
    assert best[0]["program"] == again["best_program"]
    assert len({entry["code"] for entry in best}) == 3
    shown = answer("show", "one", best[0]["program"], cwd=tmp_path)
    assert shown["code"] == best[0]["code"]
    replayed = answer("replay", "one", cwd=tmp_path)
    assert replayed["identical"]
    assert replayed["samples"] == 46

    verified = answer("verify", "one", "--top", 2, cwd=tmp_path)
    assert [(line["program"], line["again"], line["stable"]) for line in verified] == [
        (entry["program"], entry["score"], True) for entry in best[:2]
    ]
    assert set(verified[0]["heldout"]) == {"n6", "n7"}
    for on in ((), ("--on", "n6")):
        done = funsearch("show", "one", again["best_program"], "--image", "best.png", *on, "--json", cwd=tmp_path)
        assert json.loads(done.stdout)["program"] == again["best_program"]
        assert done.stderr == "wrote best.png\n"
        assert (tmp_path / "best.png").read_bytes().startswith(b"\x89PNG")
        (tmp_path / "best.png").unlink()
    show = ("show", "one", "--image", "x.svg")
    assert "no input m: choose from n, n6, n7." in refusal(*show, 0, "--on", "m", cwd=tmp_path)
    assert "funsearch resume one" in refusal(*command, cwd=tmp_path)
    assert "no run" in refusal("best", "two", cwd=tmp_path).lower()
    storage = open_storage(f"sqlite:///{tmp_path / 'funsearch.db'}")
    with storage.lease("one"):
        assert "one" in refusal("resume", "one", cwd=tmp_path)
    programs = {storage.program("one", id).status: id for id in range(46)}
    unread, crashed = programs[Status.COMPILE_ERROR], programs[Status.RUNTIME_ERROR]
    storage.close()
    assert f"Nothing to draw: program {unread} of one is COMPILE_ERROR" in refusal(*show, unread, cwd=tmp_path)
    assert "Cannot draw what the program builds for n: RUNTIME_ERROR" in refusal(*show, crashed, cwd=tmp_path)

    with closing(sqlite3.connect(tmp_path / "funsearch.db")) as database:
        database.execute("update evaluations set scores = replace(scores, '8', '9') where program = 0")
        database.commit()
    verification = funsearch("verify", "one", "--top", 100, cwd=tmp_path)
    assert verification.returncode == 1
    assert verification.stdout.count("UNSTABLE") == 1


EVALUATOR_WITH_NOTES = """import funsearch


class Sum(funsearch.ProblemEvaluator):
    inputs = {"few": 3, "many": 9}
    heldout = {"more": 12}
    thresholds = {"few": 0.0}
    show_notes = True

    def evaluate(self, candidate, value):
        numbers = [candidate.weigh(i) for i in range(value)]
        return funsearch.Result(sum(numbers), f"the largest is {max(numbers):g}", {"numbers": numbers})
"""


@pytest.mark.ray
def test_notes_reach_the_prompt_and_only_good_programs_the_expensive_input(tmp_path: Path) -> None:
    specification = '"""Sums."""\nimport funsearch\n\n@funsearch.evolve\ndef weigh(i: int) -> float:\n    return 0.0\n'
    (tmp_path / "sums.py").write_text(specification)
    (tmp_path / "sums_evaluator.py").write_text(EVALUATOR_WITH_NOTES)
    answers = ["    return i - 2.0\n", "    return float(i)\n", "    return float(i)  # again\n"] * 2
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in answers))
    checked = answer("check", "sums.py", cwd=tmp_path)
    assert "# few: the largest is 0\n# many: the largest is 0\ndef weigh_v0" in checked["prompt"]
    command = (
        "run",
        "sums.py",
        "--sampler",
        "scripted:answers.jsonl",
        "--name",
        "x",
        "--islands",
        1,
        "--evaluators",
        1,
    )
    done = funsearch(*command, cwd=tmp_path)
    assert "Stopped: the sampler has no more answers." in done.stdout
    assert "+36 against the first program on the run's inputs, +66 on held-out inputs." in done.stdout
    (best,) = answer("best", "x", cwd=tmp_path)
    assert (best["scores"], best["heldout"]) == ({"few": 3.0, "many": 36.0}, {"more": 66.0})
    shown = answer("show", "x", best["program"], cwd=tmp_path)
    assert shown["notes"] == "few: the largest is 2\nmany: the largest is 8"
    assert shown["artifacts"]["few"] == {"numbers": [0.0, 1.0, 2.0]}
    with Run("x", f"sqlite:///{tmp_path / 'funsearch.db'}") as run:
        poor = next(id for id in range(1, 7) if "i - 2.0" in run.program(id).code)  # answers arrive in any order
    below = answer("show", "x", poor, cwd=tmp_path)
    assert (below["status"], below["scores"], below["stage"]) == ("BELOW_THRESHOLD", {"few": -3.0}, 1)
    assert below["heldout"] is None
    assert answer("replay", "x", cwd=tmp_path)["identical"]
    (tmp_path / "candidate.py").write_text("def weigh(i):\n    return 1.0\n")
    evaluated = answer("evaluate", "sums.py", "candidate.py", cwd=tmp_path)
    assert evaluated["notes"] == {"few": "the largest is 1", "many": "the largest is 1"}


@pytest.mark.ray
@pytest.mark.parametrize(
    ("failure", "expected"),
    [("down", "Cannot reach"), (401, "OPENAI_API_KEY"), ("garbage", "answer")],
)
def test_endpoint_that_fails_ends_the_search_with_one_line(failure: object, expected: str, tmp_path: Path) -> None:
    with FakeEndpoint(lambda prompt, n: ["    return 1.0\n"] * n) as endpoint:
        url = endpoint.url
        if failure == "down":
            url = "http://127.0.0.1:9/v1"
        else:
            endpoint.failures.extend([401 if failure == 401 else "<html>no json</html>"] * 500)
        command = ("run", "cap_set", "--input", "n=3", "--sampler", "openai:m", "--base-url", url)
        message = refusal(*command, "--set", "openai.retries=1", "--name", "x", cwd=tmp_path)
    assert expected in message
    assert [run["state"] for run in answer("list", cwd=tmp_path)] == ["failed"]


@pytest.mark.ray
def test_ctrl_c_saves_and_shows_how_to_resume(tmp_path: Path) -> None:
    numbers = itertools.count()

    def answer_slowly(_prompt: str, count: int) -> list[str]:
        time.sleep(0.1)
        return [f"    return el[0] * {next(numbers)}.5\n" for _ in range(count)]

    with FakeEndpoint(answer_slowly) as endpoint:
        command = ["run", "cap_set", "--input", "n=3", "--name", "x", "--sampler", "openai:m"]
        command += ["--base-url", endpoint.url]
        process = subprocess.Popen(
            [sys.executable, "-c", "from funsearch.cli import main; main()", *command],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(600):
            time.sleep(0.1)
            if len(endpoint.requests) > 30:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "funsearch resume x" in out
    (run,) = answer("list", cwd=tmp_path)
    assert run["state"] == "interrupted"
    assert run["samples"] > 50
    assert answer("replay", "x", cwd=tmp_path)["identical"]
