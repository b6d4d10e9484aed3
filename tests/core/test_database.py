"""The programs database: what is inserted where, what is drawn, and that nothing but seed and order matters."""

import math
from dataclasses import replace

import pytest
from evaluations import FIRST, Bodies, evaluation, on
from hypothesis import given, settings
from hypothesis import strategies as st

from funsearch.core.database import DatabaseConfig, ProgramsDatabase
from funsearch.core.records import Evaluation, Status


def database(**config: object) -> ProgramsDatabase:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(**config), seed=3)  # type: ignore[arg-type]
    made.register(evaluation(FIRST, "first", 0.0, 0.0))
    return made


def test_first_program_goes_to_every_island() -> None:
    made = database(islands=4)
    assert [island.programs for island in made.islands] == [1] * 4
    assert made.get_prompt().text == "first"


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


def test_reduction_is_what_the_problem_declares() -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), reduction="mean")
    assert made.register(evaluation(FIRST, "x", 1.0, 3.0)).program.score == 2.0  # type: ignore[union-attr]
    assert database().register(evaluation(on(0), "x", 1.0, 3.0)).program.score == 3.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "bad",
    [
        evaluation(on(0), "x", math.nan, 1.0),
        evaluation(on(0), "x", 1.0, math.inf),
        evaluation(on(0), "x", 1.0),
        evaluation(on(0), "x", 9.0, 9.0, status=Status.TIMEOUT),
        replace(evaluation(on(0), "x", 9.0, 9.0), function=None),
    ],
)
def test_what_has_no_whole_finite_score_is_counted_but_not_inserted(bad: Evaluation) -> None:
    made = database(islands=1)
    registration = made.register(bad)
    assert (registration.id, registration.program) == (1, None)
    assert made.islands[0].programs == 1
    assert made.get_prompt().text == "first"


def test_partial_results_are_kept_where_declared_and_never_mix_signatures() -> None:
    made = ProgramsDatabase(Bodies(), ("a", "b"), DatabaseConfig(islands=1), partial="keep")
    made.register(evaluation(FIRST, "first", 1.0, 1.0))
    only_b = replace(evaluation(on(0), "p", status=Status.TIMEOUT), scores={"b": 1.0})
    assert made.register(only_b).program is not None
    assert made.islands[0].clusters == 2
    only_a = replace(evaluation(on(0), "q", status=Status.TIMEOUT), scores={"a": 1.0})
    assert made.register(only_a).program is None


def test_known_program_is_inserted_once_per_island() -> None:
    made = database(islands=2)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).islands == (0,)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).islands == ()
    assert made.register(evaluation(on(1), "p", 1.0, 1.0)).islands == (1,)
    assert made.key_id("p") == 1


def test_our_own_fault_is_nobodys_verdict() -> None:
    made = database()
    made.register(evaluation(on(0), "p", status=Status.INFRA))
    assert made.key_id("p") is None


def test_stale_prompt_is_counted_but_not_inserted() -> None:
    made = database(islands=2, reset_period=None)
    made.register(evaluation(on(0), "good", 5.0, 5.0))
    reset = made.reset_islands()
    assert reset.islands == (1,)
    assert made.register(evaluation(on(1, generation=0), "late", 9.0, 9.0)).program is None
    assert made.register(evaluation(on(1, generation=1), "timely", 9.0, 9.0)).program is not None


def test_reset_founds_the_weaker_half_from_survivors() -> None:
    made = database(islands=4, reset_period=None)
    for number, score in enumerate((1.0, 4.0, 2.0, 3.0)):
        made.register(evaluation(on(number), f"p{number}", score, score))
    reset = made.reset_islands()
    assert set(reset.islands) == {0, 2}
    assert set(reset.founders) <= {2, 4}
    assert [island.generation for island in made.islands] == [1, 0, 1, 0]
    assert all(island.programs == 1 for island in (made.islands[0], made.islands[2]))


def test_counted_resets_come_with_the_registration_that_is_their_occasion() -> None:
    made = database(islands=2, reset_period=3)
    resets = [made.register(evaluation(on(0), f"p{n}", 1.0 * n, 1.0 * n)).reset for n in range(5)]
    assert [reset is not None for reset in resets] == [False, True, False, False, True]


def test_best_is_replaced_only_by_a_strictly_better_one() -> None:
    made = database(islands=1)
    assert made.register(evaluation(on(0), "p", 1.0, 1.0)).improved
    assert not made.register(evaluation(on(0), "q", 2.0, 1.0)).improved
    assert made.best is not None
    assert made.best.id == 1


@pytest.mark.parametrize("field", ["islands", "functions_per_prompt", "temperature_period", "reset_period"])
def test_config_refuses_what_cannot_work(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} = 0"):
        DatabaseConfig(**{field: 0})  # type: ignore[arg-type]


events = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.floats(-5, 5), st.booleans()), min_size=1, max_size=60
)


@settings(deadline=None)
@given(events=events, selection=st.sampled_from(["ranked", "reference"]))
def test_drawing_changes_nothing_and_the_order_of_registering_decides(events: list, selection: str) -> None:  # type: ignore[type-arg]
    drawn, silent = (database(islands=3, reset_period=7, selection=selection) for _ in range(2))
    for number, name, score, fails in events:
        for made in (drawn, silent):
            prompt = on(number, made.islands[number].generation)
            status = Status.RUNTIME_ERROR if fails else Status.OK
            made.register(evaluation(prompt, f"p{name}", score, score, status=status))
        drawn.get_prompt()
    for index in range(10):
        assert drawn.get_prompt(index) == silent.get_prompt(index)
    views = [[(i.programs, i.clusters, i.generation, i.best) for i in made.islands] for made in (drawn, silent)]
    assert views[0] == views[1]
