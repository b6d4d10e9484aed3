"""The search in one process, with recorded answers and a fake sandbox."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from funsearch.core.completions import Completion, Request
from funsearch.core.records import Sample, Status, Usage
from funsearch.errors import ConfigError, ProblemError, SamplerError, SamplerExhausted
from funsearch.loading import Problem
from funsearch.samplers.scripted import ScriptedSampler
from funsearch.search.loop import Budget, SearchLoop
from funsearch.search.replay import replay
from funsearch.search.runs import new_run
from funsearch.search.search import Search
from funsearch.search.workers import LocalWorkers, WorkResult
from funsearch.settings.search import Settings
from funsearch.storage import SqlStorage, open_storage
from funsearch.testing import InProcessSandbox

Answers = Callable[[int], list[str]]


def searching(problem: Problem, texts: list[str], storage: SqlStorage, **kwargs: object) -> Search:
    settings = Settings.load(None, ["database.islands=3", "database.reset_period=20", "prompts_in_flight=3"])
    sampler = ScriptedSampler(texts, samples_per_prompt=4)
    return Search(problem, sampler=sampler, sandbox=InProcessSandbox(), storage=storage, settings=settings, **kwargs)


def resuming(texts: list[str], storage: SqlStorage, name: str = "run") -> Search:
    sampler = ScriptedSampler(texts, samples_per_prompt=4)
    return Search.resume(name, sampler=sampler, sandbox=InProcessSandbox(), storage=storage)


def looping(problem: Problem, storage: SqlStorage, settings: Settings, clock: Callable[[], float]) -> SearchLoop:
    return SearchLoop(new_run(problem, settings, storage, "none", "run", 0.0), problem, settings, storage, clock=clock)


def test_search_finds_the_best_answer_and_counts_everything(problem: Problem, answers: Answers) -> None:
    storage = open_storage("sqlite://")
    with searching(problem, answers(40), storage) as search:
        progress = search.run()
        assert (progress.state, progress.stopped) == ("finished", "exhausted")
        assert progress.samples == 40
        assert progress.best_score == 0.0
        assert "return x" in search.best().code
        unreadable = progress.samples - progress.evaluated - progress.duplicates
        assert 0 < progress.valid < progress.evaluated
        assert unreadable > 0
        assert progress.duplicates > 0
        assert sum(progress.statuses.values()) == 40


def test_samples_budget_is_met_exactly_and_counts_over_the_whole_run(problem: Problem, answers: Answers) -> None:
    storage = open_storage("sqlite://")
    with searching(problem, answers(100), storage) as search:
        assert search.run(max_samples=10).samples == 10
        again = search.run(max_samples=21)
        assert (again.samples, again.stopped) == (21, "samples")


def test_limits_in_the_settings_apply_to_the_candidates(problem: Problem) -> None:
    settings = Settings.load(None, ["limits.seconds=0.2"])
    sampler = ScriptedSampler(["    while True: pass\n"], 1)
    with Search(problem, sampler=sampler, storage=open_storage("sqlite://"), settings=settings) as search:
        search.run()
        (evaluation,) = [e for e in search._storage.evaluations(search.name) if e.sample.prompt.index >= 0]
    assert (evaluation.status, evaluation.error) == (Status.TIMEOUT, "three: longer than 0.2 s")


def test_search_without_any_evaluator_ends_with_the_minutes(problem: Problem) -> None:
    now = [0.0]

    class IdleWorkers(LocalWorkers):
        def wait(self, seconds: float) -> list[WorkResult]:
            now[0] += 20.0
            return []

    sampler = ScriptedSampler(["    return x\n"], 1)
    evaluator = problem.scorer(InProcessSandbox())
    workers = IdleWorkers(sampler, evaluator)
    loop = looping(problem, open_storage("sqlite://"), Settings(), lambda: now[0])
    assert loop.run(Budget(minutes=1), workers).stopped == "minutes"


def test_target_stops_the_search(problem: Problem, answers: Answers) -> None:
    with searching(problem, answers(100), open_storage("sqlite://")) as search:
        progress = search.run(target=-0.01)
        assert (progress.state, progress.stopped) == ("finished", "target")
        assert progress.samples < 100


def test_minutes_are_measured_by_the_given_clock(problem: Problem, answers: Answers) -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    with searching(problem, answers(10_000), open_storage("sqlite://"), clock=clock) as search:
        assert search.run(minutes=1.0).stopped == "minutes"


def test_resumed_search_asks_for_no_sample_twice_and_replays(problem: Problem, answers: Answers) -> None:
    storage = open_storage("sqlite://")
    first = searching(problem, answers(60), storage)
    first.run(max_samples=17)
    first.close()
    record = storage.run(first.name)
    with resuming(answers(60), storage, first.name) as second:
        progress = second.run()
    samples = list(storage.samples(first.name))
    asked = [(sample.prompt.index, sample.index) for sample in samples if sample.prompt.index >= 0]
    assert len(asked) == len(set(asked)) == progress.samples
    assert replay(storage, record, InProcessSandbox()).first_difference is None


def test_resumed_search_equals_an_uninterrupted_one(problem: Problem, answers: Answers) -> None:
    whole, halves = open_storage("sqlite://"), open_storage("sqlite://")
    with searching(problem, answers(80), whole, name="run") as search:
        search.run()
    with searching(problem, answers(80), halves, name="run") as search:
        search.run(max_samples=40)
    with resuming(answers(80), halves) as search:
        search.run()
    assert list(whole.resets("run"))
    scores = [[(e.key, dict(e.scores)) for e in storage.evaluations("run")] for storage in (whole, halves)]
    assert sorted(scores[0], key=str) == sorted(scores[1], key=str)


def test_snapshots_cover_all_sessions_of_a_run(problem: Problem, answers: Answers) -> None:
    storage = open_storage("sqlite://")
    with searching(problem, answers(80), storage, name="run") as search:
        search.run(max_samples=40)
    with resuming(answers(80), storage) as search:
        progress = search.run()
    snapshots = storage.snapshots("run")
    assert len(snapshots) > 10
    assert [s.samples for s in snapshots] == sorted(s.samples for s in snapshots)
    last = snapshots[-1]
    assert (last.samples, last.valid, last.duplicates) == (progress.samples, progress.valid, progress.duplicates)
    assert (dict(last.statuses), last.islands, last.best_score) == (
        progress.statuses,
        progress.islands,
        progress.best_score,
    )
    assert sum(usage.samples for usage in last.usage.values()) == progress.samples
    assert last.evaluations == len(list(storage.evaluations("run")))


def test_replay_is_identical_and_detects_a_changed_score(problem: Problem, answers: Answers) -> None:
    storage = open_storage("sqlite://")
    with searching(problem, answers(60), storage, name="run") as search:
        search.run()
    record = storage.run("run")
    assert replay(storage, record, InProcessSandbox()).first_difference is None

    class ChangingSandbox(InProcessSandbox):
        def start(self, source, limits):  # type: ignore[no-untyped-def]
            return super().start(source.replace("return x", "return 1 + x"), limits)

    assert "scores were" in str(replay(storage, record, ChangingSandbox()).first_difference)


def test_duplicate_gets_the_outcome_of_the_first_without_an_evaluation(problem: Problem) -> None:
    storage = open_storage("sqlite://")
    with searching(problem, ["    return x\n", "    return x  # again\n"] * 4, storage, name="run") as search:
        progress = search.run()
    evaluations = list(storage.evaluations("run"))
    assert (progress.evaluated, progress.duplicates) == (1, 7)
    assert {e.duplicate_of for e in evaluations[2:]} == {1}
    assert {e.score for e in evaluations[1:]} == {0.0}


def test_failing_first_program_raises_a_problem_error(problem: Problem) -> None:
    class BreakingSandbox(InProcessSandbox):
        def start(self, source, limits):  # type: ignore[no-untyped-def]
            return super().start(source.replace("return 0.0", "return 1 / 0"), limits)

    search = Search(problem, sampler=ScriptedSampler([]), sandbox=BreakingSandbox(), storage=open_storage("sqlite://"))
    with search, pytest.raises(ProblemError, match="first program of closeness gets no score: RUNTIME_ERROR"):
        search.run()


def test_failing_sampler_ends_the_search_which_can_be_resumed(problem: Problem, answers: Answers) -> None:
    class FailingSampler(ScriptedSampler):
        def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
            if requests[0].index == 5:
                raise SamplerError("the endpoint is gone")
            return super().complete(requests)

    storage = open_storage("sqlite://")
    sampler = FailingSampler(answers(100), 4)
    search = Search(problem, sampler=sampler, sandbox=InProcessSandbox(), storage=storage, name="run")
    with search, pytest.raises(SamplerError, match="gone"):
        search.run()
    assert storage.runs()[0].state == "failed"
    assert storage.runs()[0].samples == 20
    with resuming(answers(100), storage) as again:
        assert again.run(max_samples=40).samples == 40


def test_resumed_search_finishes_unanswered_prompts_and_unevaluated_samples(problem: Problem, answers: Answers) -> None:
    storage = open_storage("sqlite://")
    with searching(problem, answers(100), storage, name="run") as search:
        search.run(max_samples=8)
        prompt = search.database.get_prompt()
        unanswered = search.database.get_prompt()
        sample = Sample(prompt=prompt, index=0, text="    return x - 0.125\n", model="scripted", finish_reason="stop")
        storage.append("run", [prompt, sample, unanswered])
    with resuming(answers(100), storage) as search:
        search.run(max_samples=20)
    evaluations = list(storage.evaluations("run"))
    assert sum(e.sample == sample for e in evaluations) == 1
    assert [e.status for e in evaluations if e.sample == sample] == [Status.OK]
    assert {s.prompt.index for s in storage.samples("run")} >= {prompt.index, unanswered.index}


def test_exhausted_sampler_raises_only_for_prompts_without_an_answer() -> None:
    sampler = ScriptedSampler(["a", "b", "c"], samples_per_prompt=2)
    assert [completion.text for completion in sampler.complete([Request(prompt="", count=4, index=1)])[0]] == ["c"]
    with pytest.raises(SamplerExhausted):
        sampler.complete([Request(prompt="", count=4, index=2)])


def test_unstable_program_is_never_the_best(problem: Problem) -> None:
    storage = open_storage("sqlite://")
    unstable = "    import time\n    return x - (time.perf_counter_ns() % 1000) / 1e9\n"
    with searching(problem, [unstable, "    return x - 1\n"] * 4, storage, name="run") as search:
        progress = search.run()
        assert progress.best_score == -1.0
        assert progress.statuses[Status.BAD_SCORE] == 4
    assert "unstable" in next(e for e in storage.evaluations("run") if e.status is Status.BAD_SCORE).error


def test_prompts_in_flight_follow_the_models_queue(problem: Problem, answers: Answers) -> None:
    settings = Settings.load(None, ["vllm.max_num_seqs=16"])
    few, most = settings.in_flight(), settings.most_in_flight()
    assert few < most

    class QueueingWorkers(LocalWorkers):
        queue_length: int | None = None

        def queued(self) -> int | None:
            return self.queue_length

    sampler = ScriptedSampler(answers(4000), samples_per_prompt=4)
    evaluator = problem.scorer(InProcessSandbox())
    workers = QueueingWorkers(sampler, evaluator)
    in_flight = []

    def clock() -> float:
        in_flight.append(workers.sampling)
        workers.queue_length = None if len(in_flight) < 20 else 0 if len(in_flight) < 60 else 1000
        return float(len(in_flight))

    looping(problem, open_storage("sqlite://"), settings, clock).run(Budget(minutes=3.0), workers)
    assert max(in_flight[:20]) <= few
    assert few < max(in_flight[20:60]) <= most
    assert in_flight[-5] <= few


def priced(problem: Problem, tokens: int) -> Search:
    class CountingSampler(ScriptedSampler):
        def complete(self, requests: Sequence[Request]) -> list[list[Completion]]:
            (completions,) = super().complete(requests)
            return [[replace(completion, prompt_tokens=100, tokens=tokens) for completion in completions]]

    settings = Settings.load(None, ["prices.scripted={'prompt': 1.0, 'completion': 10.0}", "prompts_in_flight=1"])
    sampler = CountingSampler([f"    return x * {n}\n" for n in range(100)], 1)
    return Search(
        problem, sampler=sampler, sandbox=InProcessSandbox(), storage=open_storage("sqlite://"), settings=settings
    )


def test_search_stops_when_the_cost_limit_is_reached(problem: Problem) -> None:
    with priced(problem, tokens=90) as search:
        progress = search.run(max_cost=0.01)
    # A sample costs (100 * 1 + 90 * 10) / 1,000,000 = 0.001.
    assert (progress.stopped, progress.samples) == ("cost", 10)
    assert progress.cost == pytest.approx(0.01)


def test_default_price_applies_to_models_without_a_price_of_their_own() -> None:
    settings = Settings.load(
        None, ["prices={'large': {'prompt': 5, 'completion': 7}, '*': {'prompt': 1, 'completion': 2}}"]
    )
    usage = Usage(1, 1_000_000, 2_000_000)
    assert settings.cost({"large": usage, "loop-step1@1": usage}) == 5 + 14 + 1 + 4


def test_cost_limit_is_refused_for_a_model_without_a_price(problem: Problem) -> None:
    sampler = ScriptedSampler(["    return x\n"] * 9, 1)
    with (
        Search(problem, sampler=sampler, sandbox=InProcessSandbox(), storage=open_storage("sqlite://")) as search,
        pytest.raises(ConfigError, match="The model scripted has no price"),
    ):
        search.run(max_cost=1.0)
