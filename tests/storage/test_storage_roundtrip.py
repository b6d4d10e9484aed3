"""Records are read back equal to what was appended: any text that a model may write, any finite score."""

import itertools
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funsearch.core.ports import Event, RunStorage
from funsearch.core.records import Evaluation, Feedback, Function, Prompt, Reset, RunRecord, Sample, Status
from funsearch.storage.columns import escape, unescape

NASTY = st.sampled_from(["\x00", "\x1a", "\x1a0000", "\ud800", "\udfff", "\ud83d\ude00", "\r\n", "\\u0000", "'", "%s"])
TEXTS = st.lists(st.text(max_size=8) | st.characters() | NASTY, max_size=4).map("".join)
COUNTS = st.integers(0, 2**31 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)
RUN_NUMBERS = itertools.count()


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    parents = tuple(draw(st.lists(COUNTS, max_size=3)))
    island, resets, version, after = (draw(COUNTS) for _ in range(4))
    return Prompt(
        index=draw(st.integers(-1, 2**31 - 1)),
        island=island,
        resets=resets,
        text=draw(TEXTS),
        version=version,
        parents=parents,
        after=after,
    )


@st.composite
def evaluations(draw: st.DrawFn, sample: Sample) -> Evaluation:
    return Evaluation(
        sample=sample,
        status=draw(st.sampled_from(Status)),
        function=draw(st.none() | st.builds(Function, TEXTS, TEXTS)),
        key=draw(TEXTS),
        scores=draw(st.dictionaries(TEXTS, FLOATS, max_size=3)),
        error=draw(TEXTS),
        output=draw(TEXTS),
        seconds=draw(FLOATS),
        sandbox=draw(st.sampled_from(["L3", "none", ""])),
        duplicate_of=draw(st.none() | COUNTS),
        score=draw(st.none() | FLOATS),
        stage=draw(COUNTS),
        feedback=draw(st.dictionaries(TEXTS, st.builds(Feedback, TEXTS, st.dictionaries(TEXTS, PLAIN)), max_size=2)),
    )


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    drawn = draw(st.lists(prompts(), max_size=4, unique_by=lambda prompt: prompt.index))
    samples = [
        Sample(
            prompt=prompt,
            index=index,
            text=draw(TEXTS),
            model=draw(TEXTS),
            finish_reason=draw(TEXTS),
            prompt_tokens=draw(COUNTS),
            tokens=draw(COUNTS),
        )
        for prompt in drawn
        for index in draw(st.sets(COUNTS, max_size=3))
    ]
    results = [draw(evaluations(sample)) for sample in draw(st.permutations(samples)) if draw(st.booleans())]
    islands = st.lists(COUNTS, max_size=3).map(tuple)
    resets = [Reset(index, draw(COUNTS), draw(islands), draw(islands)) for index in draw(st.sets(COUNTS, max_size=2))]
    return [*drawn, *samples, *results, *resets]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=histories(), data=st.data())
def test_events_come_back_equal(reopen: Callable[[], RunStorage], events: list[Event], data: st.DataObject) -> None:
    storage = reopen()
    name = f"run {next(RUN_NUMBERS)}"
    storage.create_run(
        RunRecord(name=name, problem="p", specification="", evaluator="", settings={}, sandbox="L2", created=0.0)
    )
    cut = data.draw(st.integers(0, len(events)))
    storage.append(name, events[:cut])
    storage.append(name, events[cut:])

    samples = sorted((e for e in events if isinstance(e, Sample)), key=lambda s: (s.prompt.index, s.index))
    results = [e for e in events if isinstance(e, Evaluation)]
    done = {(e.sample.prompt.index, e.sample.index) for e in results}
    prompts_in_order = sorted((e for e in events if isinstance(e, Prompt)), key=lambda p: p.index)
    assert list(storage.prompts(name)) == prompts_in_order
    assert list(storage.samples(name)) == samples
    assert list(storage.evaluations(name)) == results
    assert [list(e.scores) for e in storage.evaluations(name)] == [list(e.scores) for e in results]
    assert list(storage.resets(name)) == sorted((e for e in events if isinstance(e, Reset)), key=lambda r: r.index)
    assert list(storage.unevaluated(name)) == [s for s in samples if (s.prompt.index, s.index) not in done]
    assert list(storage.unanswered(name)) == [p for p in prompts_in_order if p not in {s.prompt for s in samples}]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.tuples(TEXTS, TEXTS, TEXTS),
    created=FLOATS,
    value=PLAIN,
)
def test_runs_come_back_equal(
    reopen: Callable[[], RunStorage], texts: tuple[str, str, str], created: float, value: object
) -> None:
    storage = reopen()
    run = RunRecord(
        name=f"{next(RUN_NUMBERS)}{texts[0]}",
        problem=texts[0],
        specification=texts[1],
        evaluator=texts[2],
        settings={"value": value},
        sandbox="L1",
        created=created,
    )
    storage.create_run(run)
    assert reopen().run(run.name) == run


@given(TEXTS)
def test_escaped_text_is_storable_and_comes_back(text: str) -> None:
    escaped = escape(text)
    assert "\x00" not in escaped
    assert unescape(escaped) == text
    assert unescape(escaped.encode().decode()) == text


@given(st.text(st.characters(exclude_characters="\x00\x1a", exclude_categories=["Cs"])))
def test_ordinary_text_is_stored_as_it_is(text: str) -> None:
    assert escape(text) == text
