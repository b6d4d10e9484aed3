"""Runs a recorded run again from its seed and answers, and compares what comes out with what was written.

Promises: the same seed and the same answers, registered in the same order, give the same prompts, islands and scores.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from funsearch.core.code.identity import key
from funsearch.core.code.reading import UnreadableCompletion, read_completion
from funsearch.core.evaluator import Evaluator
from funsearch.core.ports import RunReader, Sandbox
from funsearch.core.records import Evaluation, Function, Prompt, RunRecord, Sample, Status
from funsearch.search.runs import restored


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay found."""

    prompts: int
    samples: int
    first_difference: str | None
    """None when everything came out as it was written."""


def replay(
    storage: RunReader, run: RunRecord, sandbox: Sandbox, on_progress: Callable[[int, int], None] | None = None
) -> Replay:
    """Replays a run up to its end or its first difference.

    Raises:
        StorageError: the run cannot be read.
        ProblemError: the recorded problem does not load.
    """
    settings, problem = restored(run)
    database = problem.database(settings.database, settings.seed)
    limits = settings.limits.override(problem.evaluator.limits)
    evaluator = problem.scorer(sandbox, limits=limits)
    drawn: dict[int, list[Prompt]] = defaultdict(list)
    for prompt in storage.prompts(run.name):
        if prompt.index >= 0:
            drawn[prompt.after].append(prompt)
    resets = {reset.index: reset for reset in storage.resets(run.name)}
    by_clock = defaultdict(list)
    if settings.reset_minutes is not None:
        for reset in resets.values():
            by_clock[reset.after].append(reset)
    total = sum(1 for _ in storage.evaluations(run.name))
    prompts = samples = 0

    def draw(after: int) -> Iterator[str]:
        nonlocal prompts
        for recorded in drawn[after]:
            prompts += 1
            if (again := database.get_prompt(recorded.index)) != recorded:
                yield _prompt_difference(recorded, again)

    for number, recorded in enumerate(storage.evaluations(run.name)):
        for reset in by_clock[number]:
            if database.reset_islands() != reset:
                return Replay(prompts, samples, f"reset {reset.index}: other islands or founders")
        for difference in draw(number):
            return Replay(prompts, samples, difference)
        samples += recorded.sample.prompt.index >= 0
        again = _evaluate(recorded, evaluator)
        if (said := _difference(number, recorded, again)) is not None:
            return Replay(prompts, samples, said)
        registration = database.register(recorded)
        if registration.reset is not None and resets.get(registration.reset.index) != registration.reset:
            return Replay(prompts, samples, f"reset {registration.reset.index}: other islands or founders")
        if on_progress:
            on_progress(number + 1, total)
    for difference in draw(total):
        return Replay(prompts, samples, difference)
    return Replay(prompts, samples, None)


def _evaluate(recorded: Evaluation, evaluator: Evaluator) -> Evaluation:
    """Returns the evaluation of the recorded sample as it comes out now; a duplicate keeps its status and scores."""
    sample = recorded.sample
    try:
        function = _read(sample, evaluator)
    except UnreadableCompletion as unreadable:
        return replace(recorded, status=Status.COMPILE_ERROR, function=None, key="", scores={}, error=str(unreadable))
    again = replace(recorded, function=function, key=key(function))
    if recorded.duplicate_of is not None or recorded.status is Status.INFRA:
        return again
    outcome = evaluator.score(function)
    return replace(again, status=outcome.status, scores=outcome.scores)


def _read(sample: Sample, evaluator: Evaluator) -> Function:
    specification = evaluator.specification
    if sample.prompt.index < 0:
        return specification.first
    return read_completion(specification, sample.text, sample.prompt.version)


def _prompt_difference(recorded: Prompt, again: Prompt) -> str:
    for field in ("after", "island", "resets", "parents", "version", "text"):
        was, now = getattr(recorded, field), getattr(again, field)
        if was != now:
            return f"prompt {recorded.index}: {field} was {was!r:.200}, is {now!r:.200}"
    return f"prompt {recorded.index}: differs"


def _difference(number: int, recorded: Evaluation, again: Evaluation) -> str | None:
    for field in ("status", "function", "key"):
        was, now = getattr(recorded, field), getattr(again, field)
        if was != now:
            return f"program {number}: {field} was {was!r:.200}, is {now!r:.200}"
    if dict(recorded.scores) != dict(again.scores):
        return f"program {number}: scores were {dict(recorded.scores)}, are {dict(again.scores)}"
    return None
