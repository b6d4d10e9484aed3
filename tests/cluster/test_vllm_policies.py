"""Policies on real vLLM: one engine serves the base model and an adapter of it, by name."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_model

from funsearch.core.completions import Policy, Request, Sampling
from funsearch.rest_em.ports import Example, ImproveJob
from funsearch.samplers.options import VllmOptions
from funsearch.samplers.vllm import VllmSampler
from funsearch.trainers.options import TrainerOptions
from funsearch.trainers.trl import TrlTrainer

TINY = tiny_model.FOLDER
TAUGHT, ASKED = 400, 200


@pytest.mark.model
def test_adapter_is_served_by_name_beside_its_base(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("trl", reason="the trainer is not installed: make setup")
    folder = tmp_path / "sums@1"
    pairs = tiny_model.pairs()[tiny_model.SEEN :]
    examples = [Example(tiny_model.question(pair), f"{sum(pair):03d}", "\n") for pair in pairs[:TAUGHT]]
    options = TrainerOptions(rank=32, learning_rate=2e-3, batch_size=64, epochs=8.0, threads=1)
    TrlTrainer().improve(
        ImproveJob(policy="sums@1", base=str(TINY), folder=str(folder), chat=False, seed=0, options=options),
        examples,
        lambda progress: None,
    )
    base, adapted = (
        Policy(name="sums@0", round=0, base=str(TINY)),
        Policy(name="sums@1", round=1, base=str(TINY), folder=str(folder), kind="lora"),
    )
    sums = pairs[TAUGHT : TAUGHT + ASKED]
    requests = [
        request(tiny_model.question(pair), 1, Sampling(temperature=0.0, max_tokens=5, stop=("\n",))) for pair in sums
    ]
    sampler = VllmSampler(
        VllmOptions(
            model=str(TINY),
            dtype="float32",
            kv_cache_gb=1,
            max_model_len=64,
            max_lora_rank=32,
            max_tokens=5,
            policy=adapted.name,
            adapter=adapted.folder,
        )
    )
    try:
        right = []
        for policy in (base, adapted, base):
            answers = [answer for (answer,) in sampler.complete([replace(item, policy=policy) for item in requests])]
            assert {answer.model for answer in answers} == {policy.name}
            assert all(answer.ending == "\n" for answer in answers if answer.finish_reason == "stop")
            right.append(sum(answer.text == f"{sum(pair):03d}" for answer, pair in zip(answers, sums, strict=True)))
        assert right[0] == right[2] < right[1] - 0.2 * ASKED
        prompt = tiny_model.question(sums[0])
        (drawn,) = sampler.complete(
            [replace(request(prompt, 6, Sampling(temperature=1.0, top_k=40, top_p=0.95, max_tokens=5)), policy=adapted)]
        )
        assert len(drawn) == 6
        pair = [request(text, 2, Sampling(temperature=1.0, max_tokens=5)) for text in ("1" * 70, prompt)]
        long, short = sampler.complete([replace(item, policy=base) for item in pair])
        assert [(answer.text, answer.finish_reason, answer.tokens) for answer in long] == [("", "length", 0)] * 2
        assert all(answer.tokens for answer in short)
        assert "71 tokens" in caplog.text
        (served,) = sampler.complete([Request(prompt=prompt, count=1)])
        assert {answer.model for answer in served} == {"sums@1"}
    finally:
        sampler.close()


def request(prompt: str, count: int, sampling: Sampling) -> Request:
    return Request(prompt=prompt, count=count, form="text", sampling=sampling, seed=0)
