"""kill -9 at random moments of a training: no finished work is lost, and no answer is generated twice."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

from support_files import SUPPORT

from funsearch.core.completions import Policy
from funsearch.rest_em.records import Phase, RoundRecord
from funsearch.storage import open_storage

KILLS = 10
Result = tuple[list[RoundRecord], list[Policy], dict[tuple[int, str, int, int], tuple[str, float]]]


def run(tasks: Path, folder: Path, log: Path, rng: random.Random | None) -> bool:
    """Runs the training and kills it at a random moment if there is a generator; returns whether it finished."""
    command = [sys.executable, str(SUPPORT / "training_process.py"), str(tasks), str(folder), str(log)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    if rng:
        time.sleep(rng.uniform(0, 0.6))
        process.kill()
    done = process.wait() == 0
    process.stdout.close()
    return done


def read(folder: Path) -> Result:
    storage = open_storage(f"sqlite:///{folder}/t.db")
    answers = {
        (round, phase.value, graded.answer.task, graded.answer.index): (graded.answer.text, graded.grade.reward)
        for round in range(3)
        for phase in Phase
        for graded in storage.graded("demo", round, phase)
    }
    result = storage.rounds("demo"), storage.policies("demo"), answers
    storage.close()
    return result


def finished_calls(folder: Path) -> set[str]:
    """Returns the log lines of the model calls whose answers are in the database."""
    storage = open_storage(f"sqlite:///{folder}/t.db")
    calls = {
        f"asked {round} {phase} {task}"
        for round in range(3)
        for phase in Phase
        for task in storage.answered("demo", round, phase)
    } | {f"trained {policy.name}" for policy in storage.policies("demo")}
    storage.close()
    return calls


def test_random_kills_lose_no_work_and_repeat_no_model_call(tmp_path: Path) -> None:
    tasks = tmp_path / "sums.jsonl"
    lines = [{"prompt": f"{i}+1=", "answer": str(i + 1), "split": "train" if i % 2 else "held"} for i in range(120)]
    tasks.write_text("".join(json.dumps(line) + "\n" for line in lines))
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert run(tasks, whole, tmp_path / "log", None)
    expected = read(whole)
    assert [record.published for record in expected[0]] == [True, True, True]

    rng = random.Random(4)
    done: set[str] = set()
    killed, finished = 0, False
    kept: set[tuple[int, str, int, int]] = set()
    for number in range(10 * KILLS):
        log = tmp_path / f"log{number}"
        finished = run(tasks, broken, log, rng if number < KILLS else None)
        killed += not finished
        calls = set(log.read_text().splitlines()) if log.exists() else set()
        assert not calls & done, "a finished model call was repeated"
        done = finished_calls(broken)
        answers = set(read(broken)[2])
        assert kept <= answers, "a finished grade was lost"
        kept = answers
        if finished:
            break
    assert finished
    assert killed >= KILLS // 2
    rounds, policies, graded_answers = read(broken)
    assert rounds == expected[0]
    assert graded_answers == expected[2]
    assert [policy.name for policy in policies] == [policy.name for policy in expected[1]]
