"""Replays a recorded run from its seed and its answers, and compares the results with the record.

The same seed and the same answers, registered in the same order, give the same prompts, islands and scores.
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
    """The result of a replay."""

    prompts: int
    """Number of prompts that were drawn again."""
    samples: int
    """Number of samples that were registered again."""
    first_difference: str | None
    """None if the replay equals the record."""


def replay(
    storage: RunReader, run: RunRecord, sandbox: Sandbox, on_progress: Callable[[int, int], None] | None = None
) -> Replay:
    """Replays a run up to its end or its first difference.

    Args:
        storage: that holds the run.
        run: to replay.
        sandbox: to evaluate programs in.
        on_progress: called after each evaluation with the number of evaluations so far and their total.

    Raises:
        StorageError: the run cannot be read.
        ProblemError: the recorded problem does not load.
    """
    settings, problem = restored(run)
    database = problem.database(settings.database, settings.seed)
    limits = settings.limits.override(problem.evaluator.limits)
    evaluator = problem.scorer(sandbox, limits=limits)
    prompts_after: dict[int, list[Prompt]] = defaultdict(list)
    for prompt in storage.prompts(run.name):
        if prompt.index >= 0:
            prompts_after[prompt.after].append(prompt)
    resets = {reset.index: reset for reset in storage.resets(run.name)}
    by_clock = defaultdict(list)
    if settings.reset_minutes is not None:
        for reset in resets.values():
            by_clock[reset.after].append(reset)
    total = sum(1 for _ in storage.evaluations(run.name))
    prompts = samples = 0

    def draw(after: int) -> Iterator[str]:
        nonlocal prompts
        for recorded in prompts_after[after]:
            prompts += 1
            if (replayed := database.get_prompt(recorded.index)) != recorded:
                yield _prompt_difference(recorded, replayed)

    for number, recorded in enumerate(storage.evaluations(run.name)):
        for reset in by_clock[number]:
            if database.reset_islands() != reset:
                return Replay(prompts, samples, f"reset {reset.index}: the islands or founders differ")
        for difference in draw(number):
            return Replay(prompts, samples, difference)
        samples += recorded.sample.prompt.index >= 0
        program_difference = _difference(number, recorded, _evaluate(recorded, evaluator))
        if program_difference is not None:
            return Replay(prompts, samples, program_difference)
        registration = database.register(recorded)
        if registration.reset is not None and resets.get(registration.reset.index) != registration.reset:
            return Replay(prompts, samples, f"reset {registration.reset.index}: the islands or founders differ")
        if on_progress:
            on_progress(number + 1, total)
    for difference in draw(total):
        return Replay(prompts, samples, difference)
    return Replay(prompts, samples, None)


def _evaluate(recorded: Evaluation, evaluator: Evaluator) -> Evaluation:
    """Returns a new evaluation of the recorded sample; a duplicate keeps its recorded outcome."""
    sample = recorded.sample
    try:
        function = _read(sample, evaluator)
    except UnreadableCompletion as unreadable:
        return replace(recorded, status=Status.COMPILE_ERROR, function=None, key="", scores={}, error=str(unreadable))
    replayed = replace(recorded, function=function, key=key(function))
    if recorded.duplicate_of is not None or recorded.status is Status.INFRA:
        return replayed
    outcome = evaluator.score(function)
    return replace(replayed, status=outcome.status, scores=outcome.scores)


def _read(sample: Sample, evaluator: Evaluator) -> Function:
    specification = evaluator.specification
    if sample.prompt.index < 0:
        return specification.first
    return read_completion(specification, sample.text, sample.prompt.version)


def _prompt_difference(recorded: Prompt, replayed: Prompt) -> str:
    for field in ("after", "island", "resets", "parents", "version", "text"):
        before, now = getattr(recorded, field), getattr(replayed, field)
        if before != now:
            return f"prompt {recorded.index}: {field} was {before!r:.200}, is {now!r:.200}"
    return f"prompt {recorded.index}: differs"


def _difference(number: int, recorded: Evaluation, replayed: Evaluation) -> str | None:
    for field in ("status", "function", "key"):
        before, now = getattr(recorded, field), getattr(replayed, field)
        if before != now:
            return f"program {number}: {field} was {before!r:.200}, is {now!r:.200}"
    if dict(recorded.scores) != dict(replayed.scores):
        return f"program {number}: scores were {dict(recorded.scores)}, are {dict(replayed.scores)}"
    return None
