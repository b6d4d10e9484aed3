"""A search on Ray with injected faults, and the conditions that must hold afterwards."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import ray

from funsearch.cluster.driver import NAMESPACE, Launch, actor_name, launch
from funsearch.core.records import RunRecord, Status
from funsearch.loading import Problem
from funsearch.search.loop import Budget
from funsearch.search.progress import Progress
from funsearch.search.replay import replay
from funsearch.search.runs import new_run
from funsearch.settings.search import Settings
from funsearch.storage import open_storage
from funsearch.testing import InProcessSandbox


def texts(count: int) -> list[str]:
    """Returns completions, every eighth of which repeats the one before it."""
    return [f"    return x + {(i - i % 8 // 7) % 977 / 8}\n" for i in range(count)]


def script(folder: Path, answers: list[str]) -> str:
    """Returns the specification of a scripted sampler with these answers."""
    file = folder / "answers.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in answers))
    return f"scripted:{file}"


def pids(kind: str) -> list[int]:
    """Returns the ids of the processes of Ray actors of a class, among the descendants of this process."""
    actors = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        if line and line[0].startswith(f"ray::{kind}"):
            actors.append(process.pid)
    return actors


def kill(kind: str) -> None:
    """Kills the actors of a class with SIGKILL."""
    actors = pids(kind)
    assert actors, f"there is no {kind} to kill"
    for pid in actors:
        os.kill(pid, signal.SIGKILL)


@dataclass
class Trial:
    """A search during which events happen, each once and in order."""

    problem: Problem
    url: str
    settings: Settings
    on_cluster: bool = False
    events: list[tuple[int | Callable[[Progress], bool], Callable[[], object]]] = field(default_factory=list)
    """Pairs of when and what: an event happens once that many samples are recorded, or its condition holds."""
    seen: list[Progress] = field(default_factory=list)

    def run(self, budget: Budget) -> Progress:
        """Runs the search to its end."""
        storage = open_storage(self.url)
        self.record: RunRecord = new_run(self.problem, self.settings, storage, "L1", "run", time.time())
        storage.close()
        progress = self.resume(budget)
        assert not self.events, "the search ended before all events had happened"
        return progress

    def resume(self, budget: Budget) -> Progress:
        """Resumes the search."""
        order = Launch(self.record, self.problem.source, self.settings, self.url, self.on_cluster)
        return launch(order, budget, self._watch)

    def stop(self) -> None:
        """Makes the search stop and save."""
        ray.get_actor(actor_name(self.record), NAMESPACE).stop.remote()

    def _watch(self, progress: Progress | None) -> None:
        if progress is None:
            return
        self.seen.append(progress)
        if not self.events:
            return
        when, what = self.events[0]
        if when(progress) if callable(when) else progress.samples >= when:
            del self.events[0]
            what()

    def check(self, count: int) -> None:
        """Asserts that every sample is recorded once with one evaluation, and that the run replays."""
        storage = open_storage(self.url)
        samples = [(s.prompt.index, s.index) for s in storage.samples("run") if s.prompt.index >= 0]
        assert len(samples) == len(set(samples)) == count
        evaluated = [(e.sample.prompt.index, e.sample.index) for e in storage.evaluations("run")]
        assert len(evaluated) == len(set(evaluated)) == count + 1
        replayed = replay(storage, self.record, InProcessSandbox())
        assert replayed.first_difference is None
        assert replayed.samples == count
        storage.close()

    def set_aside(self) -> list[str]:
        """Returns the texts of the samples whose evaluation failed through no fault of the program."""
        storage = open_storage(self.url)
        infra = [e.sample.text for e in storage.evaluations("run") if e.status is Status.INFRA]
        storage.close()
        return infra
