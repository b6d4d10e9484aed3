"""kill -9 at random moments: no finished work is lost or repeated, and the run replays."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support_files import SUPPORT

from funsearch.search.replay import replay
from funsearch.storage import open_storage
from funsearch.testing import InProcessSandbox

ROUNDS = 20
SAMPLES = 1200


def test_random_kills_lose_no_work_and_repeat_none(
    problem_file: Path, tmp_path: Path, answers: Callable[[int], list[str]]
) -> None:
    texts = [f"    return x + {i / 7}\n" if i % 5 == 1 else text for i, text in enumerate(answers(SAMPLES))]
    script = tmp_path / "answers.jsonl"
    script.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    url = f"sqlite:///{tmp_path / 'run.db'}"
    rng = random.Random(8)
    answered: set[int] = set()
    evaluated: set[str] = set()
    kept: set[tuple[int, int]] = set()
    killed = 0
    finished = False
    for number in range(ROUNDS + 1):
        log = tmp_path / f"log{number}"
        command = [sys.executable, str(SUPPORT / "searching_process.py")]
        process = subprocess.Popen(
            [*command, str(problem_file), url, str(script), str(log)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if number < ROUNDS:
            time.sleep(rng.uniform(0, 0.25))
            killed += process.poll() is None
            process.kill()
        finished = process.wait() == 0
        process.stdout.close()
        journal = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
        assert not answered & {int(index) for event, index in journal if event == "asked"}, (
            "an answered prompt was sampled again"
        )
        assert not evaluated & {body for event, body in journal if event == "evaluated"}, "an evaluation was repeated"
        storage = open_storage(url)
        samples = {(s.prompt.index, s.index): s.text for s in storage.samples("run") if s.prompt.index >= 0}
        evaluations = list(storage.evaluations("run"))
        assert kept <= samples.keys(), "a finished sample was lost"
        kept = set(samples)
        answered = {prompt for prompt, _ in samples}
        evaluated = {
            e.function.body.encode().hex() for e in evaluations if e.function is not None and e.duplicate_of is None
        }
        storage.close()
    assert finished
    assert killed >= ROUNDS // 2
    assert samples == {divmod(i, 4): text for i, text in enumerate(texts)}
    assert len(evaluations) == SAMPLES + 1
    storage = open_storage(url)
    assert replay(storage, storage.run("run"), InProcessSandbox()).first_difference is None
    storage.close()
