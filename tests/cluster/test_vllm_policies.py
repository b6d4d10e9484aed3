"""Policies on real vLLM: the base model and an adapter of it, by name, out of one engine; and in a search."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_model

from funsearch.core.completions import Policy, Request, Sampling
from funsearch.core.records import Prompt
from funsearch.rest_em.ports import Example, ImproveJob
from funsearch.rest_em.records import Phase, Split, Task
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
        ImproveJob("sums@1", str(TINY), str(folder), False, 0, options), examples, lambda progress: None
    )
    base, adapted = Policy("sums@0", 0, str(TINY)), Policy("sums@1", 1, str(TINY), str(folder), "lora")
    held = pairs[TAUGHT : TAUGHT + ASKED]
    tasks = [Task(i, str(i), "sums", Split.HELDOUT, tiny_model.question(pair), None) for i, pair in enumerate(held)]
    likeliest = Sampling(0.0, max_tokens=5, stop=("\n",))
    requests = [Request(task, 1, Phase.GREEDY, 1, likeliest, 0) for task in tasks]
    sampler = VllmSampler(
        VllmOptions(
            str(TINY),
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
            answers = sampler.generate(requests, policy)
            assert {one.policy for one in answers} == {policy.name}
            assert all(one.ending == "\n" for one in answers if one.finish_reason == "stop")
            right.append(sum(one.text == f"{sum(pair):03d}" for one, pair in zip(answers, held, strict=True)))
        assert right[0] == right[2] < right[1] - 0.2 * ASKED
        drawn = sampler.generate([Request(tasks[0], 1, Phase.SAMPLED, 6, Sampling(1.0, 40, 0.95, 5), 0)], adapted)
        assert [one.index for one in drawn] == list(range(6))
        long = replace(tasks[0], prompt="1" * 70)
        several = [Request(task, 1, Phase.SAMPLED, 2, Sampling(1.0, max_tokens=5), 0) for task in (long, tasks[1])]
        answers = sampler.generate(several, base)
        assert [(one.text, one.finish_reason, one.tokens) for one in answers[:2]] == [("", "length", 0)] * 2
        assert all(one.tokens for one in answers[2:])
        assert "has 71 tokens where 64 fit" in caplog.text
        samples = sampler.sample(Prompt(0, 0, 0, tasks[0].prompt, 1, (), 0))
        assert {sample.model for sample in samples} == {"sums@1"}
    finally:
        sampler.close()
