"""The programs database: insertion, drawing, resets, and that only the seed and the order of evaluations matter."""

import math
from dataclasses import dataclass, replace

import pytest
from evaluations import FIRST, Bodies, evaluation, on
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.records import Evaluation, Feedback, Prompt, Status


def make_database(seed: int = 3, **config: object) -> ProgramsDatabase:
    database = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(**config), seed=seed)  # type: ignore[arg-type]
    database.register(evaluation(FIRST, "first", 0.0, 0.0))
    return database


def view(database: ProgramsDatabase) -> list[object]:
    return [(island.programs, island.clusters, island.resets, island.best) for island in database.islands]


# Drawing


def test_notes_are_shown_only_if_the_problem_sets_show_notes() -> None:
    for show in (False, True):
        database = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), show_notes=show)
        feedback = {"b": Feedback("close"), "a": Feedback("", {"x": 1})}
        database.register(replace(evaluation(FIRST, "first", 0.0, 0.0), feedback=feedback))
        assert database.get_prompt().text == ("first#close" if show else "first")


def test_program_below_a_threshold_is_not_inserted() -> None:
    for partial in ("reject", "keep"):
        database = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial=partial)  # type: ignore[arg-type]
        database.register(evaluation(FIRST, "first", 0.0, 0.0))
        assert database.register(evaluation(on(0), "below", 9.0, status=Status.BELOW_THRESHOLD)).program is None
        assert database.islands[0].programs == 1


def test_first_program_is_inserted_on_every_island() -> None:
    database = make_database(islands=4)
    assert [island.programs for island in database.islands] == [1] * 4
    assert database.get_prompt().text == "first"


def test_prompt_has_everything_that_replay_needs() -> None:
    database = make_database(islands=1)
    database.register(evaluation(on(0), "better", 1.0, 1.0))
    database.register(evaluation(on(0), "failed", status=Status.TIMEOUT))
    assert database.get_prompt(7) == Prompt(
        index=7, island=0, resets=0, text="first|better", version=2, parents=(0, 1), after=3
    )


def test_prompt_shows_distinct_programs_by_ascending_score() -> None:
    database = make_database(islands=1)
    for number, score in enumerate((5.0, -1.0, 3.0)):
        database.register(evaluation(on(0), f"p{number}", score, score))
    scores = {"first": 0.0, "p0": 5.0, "p1": -1.0, "p2": 3.0}
    for _ in range(50):
        shown = database.get_prompt().text.split("|")
        assert len(set(shown)) == 2
        assert scores[shown[0]] <= scores[shown[1]]


def test_two_programs_are_drawn_from_a_single_cluster() -> None:
    database = make_database(islands=1)
    database.register(evaluation(on(0), "twin", 0.0, 0.0))
    database.register(evaluation(on(0), "third", 0.0, 0.0))
    assert database.islands[0].clusters == 1
    assert all(len(set(database.get_prompt().text.split("|"))) == 2 for _ in range(20))


def test_prompts_are_numbered_and_an_explicit_index_does_not_advance_the_number() -> None:
    database = make_database()
    assert [database.get_prompt(index).index for index in (None, 5, None)] == [0, 5, 1]
    assert database.next_prompt == 2


def test_prompts_depend_on_their_index_and_the_seed() -> None:
    database = make_database()
    assert database.get_prompt(4) == database.get_prompt(4)
    assert len({database.get_prompt(index).island for index in range(100)}) == 10
    islands = [[make_database(seed).get_prompt(index).island for index in range(20)] for seed in (1, 2)]
    assert islands[0] != islands[1]


def test_drawing_and_resetting_fail_without_a_program_and_do_not_advance_the_numbers() -> None:
    database = ProgramsDatabase(Bodies(), ("a", "b"))
    database.register(evaluation(FIRST, "broken", status=Status.CRASH))
    with pytest.raises(LookupError, match="register the first program"):
        database.get_prompt()
    with pytest.raises(LookupError, match="cannot be reset without a founder"):
        database.reset_islands()
    assert (database.next_prompt, database.resets) == (0, 0)


@pytest.mark.parametrize("selection", ["ranked", "reference"])
def test_islands_without_programs_are_skipped(selection: str) -> None:
    database = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(selection=selection, islands=4))  # type: ignore[arg-type]
    database.register(evaluation(on(2), "only", 1.0, 1.0))
    assert {database.get_prompt().island for _ in range(20)} == {2}
    assert database.reset_islands().founders == (0, 0)


# Registering


def test_scores_are_reduced_as_the_problem_declares() -> None:
    database = ProgramsDatabase(Bodies(), ("a", "b"), reduction="mean")
    assert database.register(evaluation(FIRST, "x", 1.0, 3.0)).program.score == 2.0  # type: ignore[union-attr]
    assert make_database().register(evaluation(on(0), "x", 1.0, 3.0)).program.score == 3.0  # type: ignore[union-attr]


@pytest.mark.parametrize("partial", ["reject", "keep"])
@pytest.mark.parametrize(
    "bad",
    [
        evaluation(on(0), "x", math.nan, 1.0),
        evaluation(on(0), "x", 1.0, math.inf),
        evaluation(on(0), "x", -math.inf, -math.inf),
        evaluation(on(0), "x", 1.0),
        evaluation(on(0), "x"),
        evaluation(on(0), "x", 9.0, 9.0, status=Status.INFRA),
        replace(evaluation(on(0), "x", 9.0, 9.0), function=None),
    ],
)
def test_evaluation_without_a_usable_score_is_counted_but_not_inserted(bad: Evaluation, partial: str) -> None:
    database = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial=partial)  # type: ignore[arg-type]
    database.register(evaluation(FIRST, "first", 0.0, 0.0))
    registration = database.register(bad)
    assert (registration.id, registration.program, registration.improved) == (1, None, False)
    assert database.registered == 2
    assert database.islands[0].programs == 1
    with pytest.raises(KeyError):
        database.program(1)


def test_failed_program_is_not_inserted_even_if_it_has_scores() -> None:
    assert make_database().register(evaluation(on(0), "x", 9.0, 9.0, status=Status.TIMEOUT)).program is None


def test_partial_results_are_kept_if_declared_and_have_signatures_of_their_own() -> None:
    database = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial="keep")
    database.register(evaluation(FIRST, "first", 1.0, 1.0))
    only_b = replace(evaluation(on(0), "p", status=Status.TIMEOUT), scores={"b": 1.0})
    kept = database.register(only_b).program
    assert kept is not None
    assert (kept.scores, kept.score) == ((None, 1.0), 1.0)
    assert database.islands[0].clusters == 2
    only_a = replace(evaluation(on(0), "q", status=Status.TIMEOUT), scores={"a": 1.0})
    assert database.register(only_a).program is None


def test_program_has_the_island_and_parents_of_its_prompt() -> None:
    database = make_database()
    prompt = replace(on(2), parents=(0,))
    registration = database.register(evaluation(prompt, "p", 1.0, 2.0))
    inserted = database.program(1)
    assert registration.program is inserted
    assert (inserted.id, inserted.scores, inserted.island, inserted.parents) == (1, (1.0, 2.0), 2, (0,))


def test_duplicate_program_is_inserted_once_per_island() -> None:
    database = make_database(islands=2)
    assert database.register(evaluation(on(0), "p", 1.0, 1.0)).islands == (0,)
    assert database.register(evaluation(on(0), "p", 1.0, 1.0)).islands == ()
    assert database.register(evaluation(on(1), "p", 1.0, 1.0)).islands == (1,)
    assert database.registered == 4


def test_duplicate_program_may_return_to_an_island_after_a_reset() -> None:
    database = make_database(islands=2, reset_period=None)
    database.register(evaluation(on(0), "good", 5.0, 5.0))
    database.register(evaluation(on(1), "fair", 1.0, 1.0))
    assert database.reset_islands().islands == (1,)
    assert database.register(evaluation(on(1, resets=1), "fair", 1.0, 1.0)).islands == (1,)
    assert database.register(evaluation(on(1, resets=1), "good", 5.0, 5.0)).islands == ()


def test_key_id_is_that_of_the_first_evaluation_whatever_its_status() -> None:
    database = make_database()
    database.register(evaluation(on(0), "loops", status=Status.TIMEOUT))
    database.register(evaluation(on(1), "loops", status=Status.TIMEOUT))
    assert [database.key_id(key) for key in ("first", "loops", "new", "")] == [0, 1, None, None]


def test_infrastructure_failure_does_not_count_as_an_evaluation() -> None:
    database = make_database()
    database.register(evaluation(on(0), "p", status=Status.INFRA))
    assert database.key_id("p") is None
    database.register(evaluation(on(0), "p", 1.0, 1.0))
    assert database.key_id("p") == 2


def test_best_is_replaced_only_by_a_strictly_better_program() -> None:
    database = make_database(islands=1)
    assert database.register(evaluation(on(0), "p", 1.0, 1.0)).improved
    assert not database.register(evaluation(on(0), "q", 2.0, 1.0)).improved
    assert database.best is database.program(1)


# Resets


def test_stale_prompt_is_counted_but_not_inserted() -> None:
    database = make_database(islands=2, reset_period=None)
    database.register(evaluation(on(0), "good", 5.0, 5.0))
    assert database.reset_islands().islands == (1,)
    late = database.register(evaluation(on(1, resets=0), "late", 9.0, 9.0))
    assert (late.id, late.program, late.improved) == (2, None, False)
    assert database.register(evaluation(on(1, resets=1), "timely", 9.0, 9.0)).program is not None
    assert database.get_prompt().resets == database.islands[database.get_prompt(0).island].resets


def test_reset_restarts_the_weaker_half_from_survivors() -> None:
    database = make_database(islands=5, reset_period=None)
    for number, score in enumerate((1.0, 4.0, 2.0, 3.0, 5.0)):
        database.register(evaluation(on(number), f"p{number}", score, score))
    reset = database.reset_islands()
    assert (reset.index, reset.after, set(reset.islands)) == (0, 6, {0, 2})
    assert set(reset.founders) <= {2, 4, 5}
    assert [island.resets for island in database.islands] == [1, 0, 1, 0, 0]
    for number, founder in zip(reset.islands, reset.founders, strict=True):
        island = database.islands[number]
        assert (island.programs, island.best) == (1, database.program(founder))


def test_resets_happen_every_reset_period_registrations() -> None:
    database = make_database(islands=2, reset_period=3)
    resets = [database.register(evaluation(on(0), f"p{n}", 1.0 * n, 1.0 * n)).reset for n in range(5)]
    assert [reset and (reset.index, reset.after) for reset in resets] == [None, (0, 3), None, None, (1, 6)]


def test_a_single_island_is_never_reset() -> None:
    database = make_database(islands=1, reset_period=1)
    assert database.register(evaluation(on(0), "p", 1.0, 1.0)).reset is None


# Settings


@pytest.mark.parametrize("field", ["islands", "functions_per_prompt", "temperature_period", "reset_period"])
def test_config_refuses_counts_below_one(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} = 0"):
        DatabaseConfig(**{field: 0})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("field", ["cluster_temperature", "length_temperature"])
def test_config_refuses_temperatures_that_are_not_positive_numbers(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} = {value}"):
        DatabaseConfig(**{field: value})  # type: ignore[arg-type]


def test_config_refuses_an_unknown_selection_and_a_database_a_negative_seed() -> None:
    with pytest.raises(ValueError, match="selection = 'best'"):
        DatabaseConfig(selection="best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed = -1"):
        make_database(seed=-1)


# A run as a whole


@dataclass(frozen=True)
class Answer:
    """A model's answer to a prompt, and the number of prompts drawn before it arrives."""

    body: int
    score: float
    fails: bool
    late: int


answers = st.builds(Answer, st.integers(0, 12), st.floats(-5, 5), st.booleans(), st.integers(0, 9))
selections = st.sampled_from(["ranked", "reference"])


def live(database: ProgramsDatabase, answers: list[Answer]) -> tuple[list[Prompt], list[Evaluation]]:
    """Draws a prompt for each answer and registers the answer when it arrives; returns both in order."""
    prompts, registered = [], []
    due: list[tuple[int, int, Evaluation]] = []
    for number, answer in enumerate(answers):
        prompts.append(database.get_prompt())
        status = Status.RUNTIME_ERROR if answer.fails else Status.OK
        scores = () if answer.fails else (answer.score, round(answer.score))
        due.append((number + answer.late, number, evaluation(prompts[-1], f"p{answer.body}", *scores, status=status)))
        for arrived in sorted(entry for entry in due if entry[0] <= number):
            due.remove(arrived)
            registered.append(arrived[2])
            database.register(arrived[2])
    return prompts, registered


@settings(deadline=None)
@given(answers=st.lists(answers, min_size=1, max_size=60), selection=selections)
def test_replay_gives_the_same_prompts_and_islands(answers: list[Answer], selection: str) -> None:
    original, replayed = (make_database(islands=3, reset_period=7, selection=selection) for _ in range(2))
    prompts, registered = live(original, answers)
    for prompt in prompts:
        for recorded in registered[replayed.registered - 1 : prompt.after - 1]:
            replayed.register(recorded)
        assert replayed.get_prompt(prompt.index) == prompt
    for recorded in registered[replayed.registered - 1 :]:
        replayed.register(recorded)
    assert view(replayed) == view(original)
    assert (replayed.best, replayed.resets) == (original.best, original.resets)
    assert replayed.registered == original.registered


anything = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(scores=st.lists(st.tuples(anything, anything), max_size=30), selection=selections)
def test_non_finite_scores_do_not_affect_an_island(scores: list[tuple[float, float]], selection: str) -> None:
    database, healthy = (make_database(islands=2, reset_period=None, selection=selection) for _ in range(2))
    for number, pair in enumerate(scores):
        scored = evaluation(on(number % 2), f"p{number}", *pair)
        finite = all(math.isfinite(score) for score in pair)
        assert (database.register(scored).program is not None) == finite
        healthy.register(scored if finite else evaluation(on(number % 2), f"p{number}", status=Status.BAD_SCORE))
    database.reset_islands()
    healthy.reset_islands()
    assert view(database) == view(healthy)
    assert [database.get_prompt() for _ in range(10)] == [healthy.get_prompt() for _ in range(10)]
