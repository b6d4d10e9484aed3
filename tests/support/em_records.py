"""Makes records for the tests of ReST^EM."""

from funsearch.rest_em.records import Answer, Grade, Graded, Phase, Split, Task


def task(index: int, family: str = "sums", split: Split = Split.TRAIN) -> Task:
    return Task(
        index=index,
        key=f"{family}/{index}",
        family=family,
        split=split,
        prompt=f"{index}+{index}=",
        reference={"answer": 2 * index},
    )


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
    answer = Answer(
        round=round,
        phase=phase,
        task=task,
        index=index,
        policy="demo@0",
        text=f"text {index}",
        finish_reason=finish,
        ending="\n",
        prompt_tokens=5,
        tokens=3,
    )
    return Graded(answer, Grade(reward, value, (f"{task}/{index}",) if keys is None else keys))
