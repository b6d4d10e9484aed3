"""The programs database: what is inserted where, what is drawn, and that nothing but seed and order matters."""

import math
from dataclasses import dataclass, replace

import pytest
from evaluations import FIRST, Bodies, evaluation, on
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.records import Evaluation, Feedback, Prompt, Status


def database(seed: int = 3, **config: object) -> ProgramsDatabase:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(**config), seed=seed)  # type: ignore[arg-type]
    made.register(evaluation(FIRST, "first", 0.0, 0.0))
    return made


def view(made: ProgramsDatabase) -> list[object]:
    return [(island.programs, island.clusters, island.resets, island.best) for island in made.islands]


# Drawing


def test_notes_are_shown_where_the_problem_asks_for_it() -> None:
    for show in (False, True):
        made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), show_notes=show)
        said = {"b": Feedback("close"), "a": Feedback("", {"x": 1})}
        made.register(replace(evaluation(FIRST, "first", 0.0, 0.0), feedback=said))
        assert made.get_prompt().text == ("first#close" if show else "first")


def test_program_that_went_no_further_than_a_cheap_input_is_not_inserted() -> None:
    for partial in ("reject", "keep"):
        made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial=partial)  # type: ignore[arg-type]
        made.register(evaluation(FIRST, "first", 0.0, 0.0))
        assert made.register(evaluation(on(0), "below", 9.0, status=Status.BELOW_THRESHOLD)).program is None
        assert made.islands[0].programs == 1


def test_first_program_goes_to_every_island() -> None:
    made = database(islands=4)
    assert [island.programs for island in made.islands] == [1] * 4
    assert made.get_prompt().text == "first"


def test_prompt_tells_all_that_replay_needs() -> None:
    made = database(islands=1)
    made.register(evaluation(on(0), "better", 1.0, 1.0))
    made.register(evaluation(on(0), "failed", status=Status.TIMEOUT))
    assert made.get_prompt(7) == Prompt(7, 0, 0, "first|better", version=2, parents=(0, 1), after=3)


def test_prompt_shows_distinct_programs_by_ascending_score() -> None:
    made = database(islands=1)
    for number, score in enumerate((5.0, -1.0, 3.0)):
        made.register(evaluation(on(0), f"p{number}", score, score))
    scores = {"first": 0.0, "p0": 5.0, "p1": -1.0, "p2": 3.0}
    for _ in range(50):
        shown = made.get_prompt().text.split("|")
        assert len(set(shown)) == 2
        assert scores[shown[0]] <= scores[shown[1]]


def test_one_cluster_gives_two_of_its_programs() -> None:
    made = database(islands=1)
    made.register(evaluation(on(0), "twin", 0.0, 0.0))
    made.register(evaluation(on(0), "third", 0.0, 0.0))
    assert made.islands[0].clusters == 1
    assert all(len(set(made.get_prompt().text.split("|"))) == 2 for _ in range(20))


def test_prompts_are_numbered_and_a_number_asked_for_is_not_counted() -> None:
    made = database()
    assert [made.get_prompt(index).index for index in (None, 5, None)] == [0, 5, 1]
    assert made.next_prompt == 2


def test_the_same_number_gives_the_same_prompt_and_others_give_others() -> None:
    made = database()
    assert made.get_prompt(4) == made.get_prompt(4)
    assert len({made.get_prompt(index).island for index in range(100)}) == 10
    islands = [[database(seed).get_prompt(index).island for index in range(20)] for seed in (1, 2)]
    assert islands[0] != islands[1]


def test_nothing_can_be_drawn_or_reset_before_a_program_is_there_and_no_number_is_used_up() -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"))
    made.register(evaluation(FIRST, "broken", status=Status.CRASH))
    with pytest.raises(LookupError, match="register the first program"):
        made.get_prompt()
    with pytest.raises(LookupError, match="nothing to found islands with"):
        made.reset_islands()
    assert (made.next_prompt, made.resets) == (0, 0)


@pytest.mark.parametrize("selection", ["ranked", "reference"])
def test_islands_without_programs_are_passed_over(selection: str) -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(selection, islands=4))  # type: ignore[arg-type]
    made.register(evaluation(on(2), "only", 1.0, 1.0))
    assert {made.get_prompt().island for _ in range(20)} == {2}
    assert made.reset_islands().founders == (0, 0)


# Registering


def test_reduction_is_what_the_problem_declares() -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), reduction="mean")
    assert made.register(evaluation(FIRST, "x", 1.0, 3.0)).program.score == 2.0  # type: ignore[union-attr]
    assert database().register(evaluation(on(0), "x", 1.0, 3.0)).program.score == 3.0  # type: ignore[union-attr]


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
def test_what_has_no_usable_score_is_counted_but_not_inserted(bad: Evaluation, partial: str) -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial=partial)  # type: ignore[arg-type]
    made.register(evaluation(FIRST, "first", 0.0, 0.0))
    registration = made.register(bad)
    assert (registration.id, registration.program, registration.improved) == (1, None, False)
    assert made.registered == 2
    assert made.islands[0].programs == 1
    with pytest.raises(KeyError):
        made.program(1)


def test_program_that_failed_is_not_inserted_whatever_scores_it_has() -> None:
    assert database().register(evaluation(on(0), "x", 9.0, 9.0, status=Status.TIMEOUT)).program is None


def test_partial_results_are_kept_where_declared_and_never_mix_signatures() -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial="keep")
    made.register(evaluation(FIRST, "first", 1.0, 1.0))
    only_b = replace(evaluation(on(0), "p", status=Status.TIMEOUT), scores={"b": 1.0})
    kept = made.register(only_b).program
    assert kept is not None
    assert (kept.scores, kept.score) == ((None, 1.0), 1.0)
    assert made.islands[0].clusters == 2
    only_a = replace(evaluation(on(0), "q", status=Status.TIMEOUT), scores={"a": 1.0})
    assert made.register(only_a).program is None


def test_program_knows_where_it_comes_from() -> None:
    made = database()
    prompt = replace(on(2), parents=(0,))
    registration = made.register(evaluation(prompt, "p", 1.0, 2.0))
    inserted = made.program(1)
    assert registration.program is inserted
    assert (inserted.id, inserted.scores, inserted.island, inserted.parents) == (1, (1.0, 2.0), 2, (0,))


def test_known_program_is_inserted_once_per_island() -> None:
    made = database(islands=2)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).islands == (0,)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).islands == ()
    assert made.register(evaluation(on(1), "p", 1.0, 1.0)).islands == (1,)
    assert made.registered == 4


def test_known_program_may_come_back_to_an_island_that_was_reset() -> None:
    made = database(islands=2, reset_period=None)
    made.register(evaluation(on(0), "good", 5.0, 5.0))
    made.register(evaluation(on(1), "fair", 1.0, 1.0))
    assert made.reset_islands().islands == (1,)
    assert made.register(evaluation(on(1, resets=1), "fair", 1.0, 1.0)).islands == (1,)
    assert made.register(evaluation(on(1, resets=1), "good", 5.0, 5.0)).islands == ()


def test_key_leads_to_its_first_evaluation_whatever_its_status() -> None:
    made = database()
    made.register(evaluation(on(0), "loops", status=Status.TIMEOUT))
    made.register(evaluation(on(1), "loops", status=Status.TIMEOUT))
    assert [made.key_id(key) for key in ("first", "loops", "new", "")] == [0, 1, None, None]


def test_infrastructure_failure_does_not_count_as_an_evaluation() -> None:
    made = database()
    made.register(evaluation(on(0), "p", status=Status.INFRA))
    assert made.key_id("p") is None
    made.register(evaluation(on(0), "p", 1.0, 1.0))
    assert made.key_id("p") == 2


def test_best_is_replaced_only_by_a_strictly_better_one() -> None:
    made = database(islands=1)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).improved
    assert not made.register(evaluation(on(0), "q", 2.0, 1.0)).improved
    assert made.best is made.program(1)


# Resets


def test_stale_prompt_is_counted_but_not_inserted() -> None:
    made = database(islands=2, reset_period=None)
    made.register(evaluation(on(0), "good", 5.0, 5.0))
    assert made.reset_islands().islands == (1,)
    late = made.register(evaluation(on(1, resets=0), "late", 9.0, 9.0))
    assert (late.id, late.program, late.improved) == (2, None, False)
    assert made.register(evaluation(on(1, resets=1), "timely", 9.0, 9.0)).program is not None
    assert made.get_prompt().resets == made.islands[made.get_prompt(0).island].resets


def test_reset_founds_the_weaker_half_from_survivors() -> None:
    made = database(islands=5, reset_period=None)
    for number, score in enumerate((1.0, 4.0, 2.0, 3.0, 5.0)):
        made.register(evaluation(on(number), f"p{number}", score, score))
    reset = made.reset_islands()
    assert (reset.index, reset.after, set(reset.islands)) == (0, 6, {0, 2})
    assert set(reset.founders) <= {2, 4, 5}
    assert [island.resets for island in made.islands] == [1, 0, 1, 0, 0]
    for number, founder in zip(reset.islands, reset.founders, strict=True):
        island = made.islands[number]
        assert (island.programs, island.best) == (1, made.program(founder))


def test_counted_resets_come_with_the_registration_that_is_their_occasion() -> None:
    made = database(islands=2, reset_period=3)
    resets = [made.register(evaluation(on(0), f"p{n}", 1.0 * n, 1.0 * n)).reset for n in range(5)]
    assert [reset and (reset.index, reset.after) for reset in resets] == [None, (0, 3), None, None, (1, 6)]


def test_a_single_island_is_never_reset_by_count() -> None:
    made = database(islands=1, reset_period=1)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).reset is None


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
        DatabaseConfig("best")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="seed = -1"):
        database(seed=-1)


# A run as a whole


@dataclass(frozen=True)
class Answer:
    """What a model made of a prompt, and how many prompts later it was there."""

    body: int
    score: float
    fails: bool
    late: int


answers = st.builds(Answer, st.integers(0, 12), st.floats(-5, 5), st.booleans(), st.integers(0, 9))
selections = st.sampled_from(["ranked", "reference"])


def live(made: ProgramsDatabase, answers: list[Answer]) -> tuple[list[Prompt], list[Evaluation]]:
    """Draws a prompt for each answer and registers it when it arrives; returns both in their order."""
    prompts, registered = [], []
    due: list[tuple[int, int, Evaluation]] = []
    for number, answer in enumerate(answers):
        prompts.append(made.get_prompt())
        status = Status.RUNTIME_ERROR if answer.fails else Status.OK
        scores = () if answer.fails else (answer.score, round(answer.score))
        due.append((number + answer.late, number, evaluation(prompts[-1], f"p{answer.body}", *scores, status=status)))
        for arrived in sorted(one for one in due if one[0] <= number):
            due.remove(arrived)
            registered.append(arrived[2])
            made.register(arrived[2])
    return prompts, registered


@settings(deadline=None)
@given(answers=st.lists(answers, min_size=1, max_size=60), selection=selections)
def test_registering_again_in_order_gives_the_same_prompts_and_islands(answers: list[Answer], selection: str) -> None:
    drawn, silent = (database(islands=3, reset_period=7, selection=selection) for _ in range(2))
    prompts, registered = live(drawn, answers)
    for prompt in prompts:
        for one in registered[silent.registered - 1 : prompt.after - 1]:
            silent.register(one)
        assert silent.get_prompt(prompt.index) == prompt
    for one in registered[silent.registered - 1 :]:
        silent.register(one)
    assert view(silent) == view(drawn)
    assert (silent.best, silent.resets, silent.registered) == (drawn.best, drawn.resets, drawn.registered)


anything = st.floats(allow_nan=True, allow_infinity=True)


@settings(deadline=None)
@given(scores=st.lists(st.tuples(anything, anything), max_size=30), selection=selections)
def test_no_score_can_poison_an_island(scores: list[tuple[float, float]], selection: str) -> None:
    made, healthy = (database(islands=2, reset_period=None, selection=selection) for _ in range(2))
    for number, pair in enumerate(scores):
        one = evaluation(on(number % 2), f"p{number}", *pair)
        finite = all(math.isfinite(score) for score in pair)
        assert (made.register(one).program is not None) == finite
        healthy.register(one if finite else evaluation(on(number % 2), f"p{number}", status=Status.BAD_SCORE))
    made.reset_islands()
    healthy.reset_islands()
    assert view(made) == view(healthy)
    assert [made.get_prompt() for _ in range(10)] == [healthy.get_prompt() for _ in range(10)]
