"""The programs database: the islands, the prompts built from them, and their resets (FunSearch, Methods).

Knows nothing about models, sandboxes or storage. Its behaviour is determined by its seed and by the sequence of
registered evaluations; drawing a prompt changes nothing but the index of the next prompt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from funsearch.core.evaluator import reduce_scores
from funsearch.core.island import Island
from funsearch.core.ranges import check_ranges
from funsearch.core.records import ALL_ISLANDS, Evaluation, Function, Program, Prompt, Reset, Status, joined_notes
from funsearch.core.selection import RankedSelection, ReferenceSelection, Selection

PROMPT_DRAWS, RESET_DRAWS = 0, 1
"""Parts of the generators' keys, which make the draws for prompts independent of the draws for resets."""


class PromptBuilder(Protocol):
    """Builds the text of a prompt, as `best_shot_prompt` does for a specification."""

    def __call__(self, functions: Sequence[Function], notes: Sequence[str] = ()) -> str:
        """Returns the prompt that shows `functions`, worst first, each with its entry of `notes` if there are any."""


@dataclass(frozen=True, kw_only=True)
class DatabaseConfig:
    """Configuration of the programs database: islands, selection and resets."""

    selection: Literal["ranked", "reference"] = "ranked"
    """How a cluster of an island is drawn: by the rank of its score, or by the score as in the reference code."""
    islands: int = 10
    """Number of islands (FunSearch, Methods: 10)."""
    functions_per_prompt: int = 2
    """Maximum number of programs that a prompt shows (FunSearch, Methods: k = 2)."""
    cluster_temperature: float = 0.1
    """Initial temperature of the draw of a cluster; lower values favour high scores (T0 of the reference code)."""
    temperature_period: int = 30_000
    """Number of programs on an island after which the temperature is restored (N of the reference code)."""
    length_temperature: float = 1.0
    """Temperature of the draw of a program within a cluster; lower values favour short programs."""
    reset_period: int | None = 10_000
    """Number of evaluations between two resets of the weaker half of the islands; None disables these resets. The
    paper resets every four hours, which cannot be replayed; `reset_minutes` does the same."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            counts=("islands", "functions_per_prompt", "temperature_period", "reset_period"),
            positive=("cluster_temperature", "length_temperature"),
        )
        if self.selection not in ("ranked", "reference"):
            raise ValueError(f"selection = {self.selection!r}: must be 'ranked' or 'reference'")


@dataclass(frozen=True, slots=True)
class Registration:
    """The effect of registering an evaluation."""

    id: int
    program: Program | None
    """None if no program was inserted: there is no score, the prompt is stale, or the island holds a duplicate."""
    islands: tuple[int, ...] = ()
    improved: bool = False
    """Whether the program is the new best of the run."""
    reset: Reset | None = None
    """The reset that this registration triggered."""


class ProgramsDatabase:
    """The islands of programs; builds prompts from them and registers evaluations on them."""

    def __init__(
        self,
        build_prompt: PromptBuilder,
        input_names: Sequence[str],
        config: DatabaseConfig | None = None,
        *,
        seed: int = 0,
        reduction: Literal["last", "mean"] = "last",
        partial: Literal["reject", "keep"] = "reject",
        show_notes: bool = False,
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed = {seed}: must not be negative")
        self.config = config or DatabaseConfig()
        self.best: Program | None = None
        self.registered = 0
        """Number of evaluations registered so far, which is the id of the next one."""
        self.next_prompt = 0
        self.resets = 0
        self._build_prompt = build_prompt
        self._input_names = tuple(input_names)
        self._seed = seed
        self._reduction = reduction
        self._partial = partial
        self._show_notes = show_notes
        self._selection: Selection[Any] = (
            RankedSelection() if self.config.selection == "ranked" else ReferenceSelection()
        )
        self.islands = [Island(self._selection.index(), 0) for _ in range(self.config.islands)]
        self._programs: dict[int, Program] = {}
        self._ids: dict[str, int] = {}

    def program(self, id: int) -> Program:
        """Returns the program with this id.

        Raises:
            KeyError: there is no evaluation with this id, or its program was not inserted.
        """
        return self._programs[id]

    def key_id(self, key: str) -> int | None:
        """Returns the id of the first evaluation with this key, or None. Any status but INFRA counts."""
        return self._ids.get(key)

    def get_prompt(self, index: int | None = None) -> Prompt:
        """Returns the prompt with this index, by default the next of the run, built from the islands' current state.

        An island is drawn uniformly, then up to `functions_per_prompt` of its programs.

        Raises:
            LookupError: no program has been registered yet.
        """
        populated = [number for number, island in enumerate(self.islands) if island.programs]
        if not populated:
            raise LookupError("no program has been registered yet: register the first program before drawing prompts")
        if index is None:
            index = self.next_prompt
            self.next_prompt += 1
        config = self.config
        rng = self._selection.generator(self._seed, PROMPT_DRAWS, index)
        number = populated[self._selection.island(rng, len(populated))]
        island = self.islands[number]
        programs = island.draw(
            rng,
            config.functions_per_prompt,
            config.cluster_temperature,
            config.temperature_period,
            config.length_temperature,
        )
        notes = [program.notes for program in programs] if self._show_notes else []
        text = self._build_prompt([program.function for program in programs], notes)
        parents = tuple(program.id for program in programs)
        return Prompt(
            index=index,
            island=number,
            resets=island.resets,
            text=text,
            version=len(programs),
            parents=parents,
            after=self.registered,
        )

    def register(self, evaluation: Evaluation) -> Registration:
        """Registers an evaluation and inserts its program, if it has a score, on the island of its prompt.

        Ids are assigned in order of registration, starting at 0. Every `reset_period` registrations, the weaker half of
        the islands is reset.
        """
        id = self.registered
        self.registered += 1
        if evaluation.key and evaluation.status is not Status.INFRA:
            self._ids.setdefault(evaluation.key, id)
        program = self._program(id, evaluation)
        islands = self._insert(program, evaluation) if program is not None else ()
        improved = bool(islands) and program is not None and (self.best is None or program.score > self.best.score)
        if program is not None and islands:
            self._programs[id] = program
            self.best = program if improved else self.best
        period = self.config.reset_period
        due = period is not None and self.registered % period == 0 and len(self.islands) > 1
        reset = self.reset_islands() if due and self.best is not None else None
        return Registration(id, program if islands else None, islands, improved, reset)

    def reset_islands(self) -> Reset:
        """Empties the weaker half of the islands; each restarts from the best program of a random surviving island.

        Raises:
            LookupError: no program has been registered yet.
        """
        if self.best is None:
            raise LookupError("no program has been registered yet: islands cannot be reset without a founder")
        rng = self._selection.generator(self._seed, RESET_DRAWS, self.resets)
        best_scores = [island.best.score if island.best else -math.inf for island in self.islands]
        order = self._selection.weakest_first(rng, best_scores)
        half = len(order) // 2
        emptied = order[:half]
        survivors = [best for number in order[half:] if (best := self.islands[number].best) is not None]
        founders = []
        for number in emptied:
            founder = survivors[self._selection.island(rng, len(survivors))]
            self.islands[number] = Island(self._selection.index(), self.islands[number].resets + 1)
            self.islands[number].register(founder)
            founders.append(founder.id)
        reset = Reset(self.resets, self.registered, tuple(emptied), tuple(founders))
        self.resets += 1
        return reset

    def _program(self, id: int, evaluation: Evaluation) -> Program | None:
        """Returns the program of an evaluation, or None if it cannot be scored."""
        scores, function = evaluation.scores, evaluation.function
        complete = evaluation.status is Status.OK and all(name in scores for name in self._input_names)
        partial = self._partial == "keep" and evaluation.status is not Status.INFRA
        if function is None or not (complete or partial):
            return None
        if not all(math.isfinite(score) for score in scores.values()):
            return None
        score = reduce_scores(scores, self._input_names, self._reduction)
        if score is None:
            return None
        signature = tuple(scores.get(name) for name in self._input_names)
        prompt = evaluation.sample.prompt
        notes = joined_notes(evaluation.feedback) if self._show_notes else ""
        return Program(
            id=id,
            function=function,
            scores=signature,
            score=score,
            island=prompt.island,
            parents=prompt.parents,
            key=evaluation.key,
            notes=notes,
        )

    def _insert(self, program: Program, evaluation: Evaluation) -> tuple[int, ...]:
        """Inserts a program on its prompt's island, unless it is a duplicate there or the island has been reset since.

        Returns the islands that the program was inserted on.
        """
        prompt = evaluation.sample.prompt
        everywhere = prompt.island == ALL_ISLANDS
        numbers = range(len(self.islands)) if everywhere else (prompt.island,)
        islands = tuple(
            number
            for number in numbers
            if (everywhere or self.islands[number].resets == prompt.resets)
            and not (program.key and self.islands[number].holds(program.key))
        )
        for number in islands:
            self.islands[number].register(program)
        return islands
