"""The built-in model on vLLM, with prompts of a shipped problem and a real evaluator; and folders without a model."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from funsearch.core.ports import Sampler
from funsearch.core.prompt import best_shot_prompt
from funsearch.core.records import Prompt, Status
from funsearch.errors import SamplerError
from funsearch.loading import Problem, load_problem
from funsearch.samplers.model_folder import check_model
from funsearch.sandbox import open_sandbox
from funsearch.search.sampling import as_samples, request_for
from funsearch.settings.samplers import make_sampler
from funsearch.settings.search import Settings

PROMPTS = 6


@pytest.fixture(scope="module")
def problem() -> Problem:
    return load_problem("cap_set", inputs=["n=3"])


@pytest.fixture(scope="module")
def sampler() -> Iterator[Sampler]:
    vllm_sampler = make_sampler(Settings())
    yield vllm_sampler
    vllm_sampler.close()


@pytest.mark.model
def test_concurrent_prompts_get_complete_samples_that_often_run(sampler: Sampler, problem: Problem) -> None:
    text = best_shot_prompt(problem.specification, [problem.specification.first])
    prompts = [Prompt(index=k, island=0, resets=0, text=text, version=1, parents=(0,), after=0) for k in range(PROMPTS)]
    with ThreadPoolExecutor(PROMPTS) as pool:
        answers = [pool.submit(sampler.complete, [request_for(prompt, 4)]) for prompt in prompts]
    samples = [
        sample
        for prompt, answer in zip(prompts, answers, strict=True)
        for sample in as_samples(prompt, answer.result()[0])
    ]
    assert [sample.index for sample in samples] == [0, 1, 2, 3] * PROMPTS
    assert len({sample.model for sample in samples}) == 1
    assert all(0 < sample.tokens <= 128 and sample.prompt_tokens > 50 for sample in samples)
    assert {sample.finish_reason for sample in samples} <= {"stop", "length"}
    assert len({sample.text for sample in samples}) > PROMPTS, "the samples repeat each other"

    sandbox = open_sandbox()
    try:
        evaluator = problem.scorer(sandbox)
        statuses = [evaluator.evaluate(sample).status for sample in samples]
    finally:
        sandbox.close()
    assert statuses.count(Status.OK) >= len(samples) // 4, statuses


@pytest.mark.parametrize("files", [[], ["config.json"], ["model.safetensors"]])
def test_folder_without_a_model_is_refused_by_name(files: list[str], tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(SamplerError, match=str(tmp_path)):
        check_model(str(tmp_path))
