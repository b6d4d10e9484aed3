"""Makes records for the tests of ReST^EM."""

from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Split, Task


def task(index: int, family: str = "sums", split: Split = Split.TRAIN) -> Task:
    return Task(index, f"{family}/{index}", family, split, f"{index}+{index}=", {"answer": 2 * index})


def graded(
    task: int,
    index: int = 0,
    reward: float = 1.0,
    *,
    keys: tuple[str, ...] | None = None,
    value: str = "",
    finish: str = "stop",
    phase: Phase = Phase.GENERATE,
    round: int = 1,
) -> Graded:
    answer = Answer(round, phase, task, index, "demo@0", f"text {index}", finish, "\n", 5, 3)
    return Graded(answer, Grade(reward, value, (f"{task}/{index}",) if keys is None else keys))
