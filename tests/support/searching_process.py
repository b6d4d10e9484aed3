"""A search in a process of its own, to be killed: logs every prompt it samples and every function it evaluates.

usage: python searching_process.py PROBLEM DATABASE ANSWERS LOG
"""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from funsearch.core.completions import Completion, Request
from funsearch.core.evaluator import Evaluator, Outcome
from funsearch.core.records import Function
from funsearch.loading import load_problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.loop import Budget, SearchLoop
from funsearch.search.runs import new_run
from funsearch.search.workers import LocalWorkers
from funsearch.settings.search import Settings
from funsearch.storage import open_storage
from funsearch.testing import InProcessSandbox

PAUSE_SECONDS = 0.002


def main(problem_file: str, database: str, answers: str, log: str) -> None:
    journal = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    class LoggingSampler(ScriptedSampler):
        def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
            completions = super().complete(requests)
            for request in requests:
                os.write(journal, f"asked {request.index}\n".encode())
                time.sleep(PAUSE_SECONDS)
            return completions

    class LoggingEvaluator(Evaluator):
        def score(self, function: Function) -> Outcome:
            os.write(journal, f"evaluated {function.body.encode().hex()}\n".encode())
            time.sleep(PAUSE_SECONDS)
            return super().score(function)

    problem = load_problem(problem_file)
    storage = open_storage(database)
    settings = Settings.load(None, ["database.islands=3", "database.reset_period=25", "prompts_in_flight=4"])
    evaluator = LoggingEvaluator(problem.specification, problem.evaluator, InProcessSandbox(), inputs=problem.inputs)
    workers = LocalWorkers(LoggingSampler.from_file(Path(answers), 4), evaluator)
    recorded = any(summary.run == "run" for summary in storage.runs())
    run = storage.run("run") if recorded else new_run(problem, settings, storage, "none", "run", 0.0)
    with storage.lease("run"):
        loop = SearchLoop(run, problem, settings, storage)
        print("ready", flush=True)
        loop.run(Budget(), workers)


if __name__ == "__main__":
    main(*sys.argv[1:])
