"""ReST^EM on a model of 0.8 million parameters: sampling, grading, TRL and PEFT, the gate, the database.

The model in `tiny` was trained by `tiny_model.py` on a quarter of the sums of two-digit numbers.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_model

from funsearch.core.completions import Policy, Request, Sampling
from funsearch.errors import SamplerError, TrainingError
from funsearch.rest_em.measurement import measure
from funsearch.rest_em.ports import Example, ImproveJob, ImproveProgress
from funsearch.rest_em.records import Phase, RoundRecord, Split, TrainingRecord
from funsearch.rest_em.statistics import estimate
from funsearch.samplers.options import TransformersOptions
from funsearch.samplers.policies import check_policy
from funsearch.samplers.prompt_format import wants_chat
from funsearch.samplers.transformers import TransformersSampler
from funsearch.settings.training import TrainingSettings
from funsearch.storage import SqlStorage, open_storage
from funsearch.tasks.opening import open_task_set
from funsearch.testing import InProcessSandbox
from funsearch.trainers.job import Workplace
from funsearch.trainers.options import TrainerOptions
from funsearch.trainers.trl import TrlTrainer
from funsearch.training.rounds import Rounds
from funsearch.training.workers import LocalTrainingWorkers

for package in ("torch", "trl", "peft"):
    pytest.importorskip(package, reason="the trainer is not installed: make setup")

TINY = tiny_model.FOLDER
TRAINED, HELDOUT = 400, 500
SETTINGS = (
    "rounds=1",
    "samples_per_task=8",
    "batch_samples=4096",
    f"tasks.count={TRAINED}",
    f"tasks.heldout={HELDOUT}",
    "generate.max_tokens=5",
    "measure.samples=2",
    "measure.train=0",
    "trainer.rank=32",
    "trainer.learning_rate=2e-3",
    "trainer.batch_size=64",
    "trainer.epochs=8",
    "trainer.threads=1",
)


def train(folder: Path, *assignments: str) -> tuple[SqlStorage, list[RoundRecord]]:
    tasks = str(tiny_model.write_tasks(folder / "sums.jsonl", TRAINED, HELDOUT))
    settings = TrainingSettings.load(None, [*SETTINGS, *assignments])
    task_set = open_task_set(tasks, settings.tasks, lambda run: task_set)
    storage = open_storage(f"sqlite:///{folder}/t.db")
    record = TrainingRecord("sums", tasks, str(TINY), settings.model_dump(mode="json"), 0.0)
    storage.create_training(record, task_set.tasks(settings.tasks, chat=False, seed=0))
    options = TransformersOptions(model=str(TINY), batch_size=4096, threads=1)
    workers = LocalTrainingWorkers(
        lambda: TransformersSampler(options), task_set.verifier(settings.tasks), InProcessSandbox, TrlTrainer()
    )
    rounds = Rounds(record, settings, task_set, storage, workers, chat=False, folder=folder / "policies").run()
    workers.close()
    return storage, rounds


def gain_in_errors(storage: SqlStorage) -> float:
    """Returns the gain of round 1 over the base model on the held-out tasks, paired by task, in standard errors."""
    tasks = storage.tasks("sums")
    base, first = (
        measure(tasks, [*storage.graded("sums", round, Phase.GREEDY), *storage.graded("sums", round, Phase.SAMPLED)])
        for round in (0, 1)
    )
    difference = estimate(np.array(first[Split.HELDOUT].greedy) - np.array(base[Split.HELDOUT].greedy))
    assert difference.tasks == HELDOUT
    return difference.value / difference.error


def test_training_on_right_answers_beats_the_base_model_and_the_unfiltered_control_does_not(tmp_path: Path) -> None:
    for name in ("filtered", "control"):
        (tmp_path / name).mkdir()
    storage, rounds = train(tmp_path / "filtered")
    assert rounds[1].published, rounds[1].reason
    assert gain_in_errors(storage) > 5
    assert 0 < rounds[1].correct < rounds[1].samples == TRAINED * 8
    policy = storage.policies("sums")[1]
    assert policy.figures["loss"] < policy.figures["first_loss"]
    assert {graded.answer.policy for graded in storage.graded("sums", 1, Phase.GREEDY)} == {"sums@1"}
    check_policy(policy)
    with pytest.raises(SamplerError, match=r"sums@1 was trained on the model .*tiny, not on elsewhere"):
        check_policy(Policy(name=policy.name, round=1, base="elsewhere", folder=policy.folder, kind="lora"))
    (Path(policy.folder) / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(SamplerError, match=r"sums@1 is missing from .*round-1, or incomplete"):
        check_policy(policy)
    storage.close()

    storage, rounds = train(tmp_path / "control", "selection.filtered=False")
    assert gain_in_errors(storage) < 2
    assert not rounds[1].published
    storage.close()


EXAMPLES = [Example(f"{a:02d}+{b:02d}=", f"{a + b:03d}", "\n", "999") for a in range(8) for b in range(8)]


def job(folder: Path, **options: object) -> ImproveJob:
    values = {"batch_size": 8, "epochs": 4.0, "save_steps": 4, "rank": 8, "threads": 1} | options
    return ImproveJob(
        policy="sums@1", base=str(TINY), folder=str(folder), chat=False, seed=0, options=TrainerOptions(**values)
    )  # type: ignore[arg-type]


class Killed(Exception):
    """Interrupts a training."""


def killed_at(step: int) -> Callable[[ImproveProgress], None]:
    """Returns a callback that interrupts a training at a step."""

    def watch(progress: ImproveProgress) -> None:
        if progress.step >= step:
            raise Killed

    return watch


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_killed_training_resumes_from_the_latest_complete_checkpoint(file: str, tmp_path: Path) -> None:
    folder = tmp_path / "round-1"
    place = Workplace.beside(folder)

    with pytest.raises(Killed):
        TrlTrainer().improve(job(folder), EXAMPLES, killed_at(10))
    assert not folder.exists()
    assert {path.name for path in place.checkpoints.iterdir()} >= {"checkpoint-8"}
    (place.checkpoints / "checkpoint-8" / file).write_bytes(b"truncat")
    steps: list[int] = []
    done = TrlTrainer().improve(job(folder), EXAMPLES, lambda progress: steps.append(progress.step))
    assert steps[0] == 5, "it did not resume after step 4"
    assert done.figures["steps"] == 32
    assert TrlTrainer().improve(job(folder), EXAMPLES, killed_at(0)) == done, "it was trained again"
    assert not place.folder.exists()


@pytest.mark.parametrize(("options", "kind"), [({"method": "dpo"}, "lora"), ({"full": True}, "full")])
def test_other_training_methods_give_a_policy_that_answers(
    options: dict[str, object], kind: str, tmp_path: Path
) -> None:
    done = TrlTrainer().improve(job(tmp_path / "p", **options, epochs=1.0), EXAMPLES, lambda progress: None)
    assert done.kind == kind
    sampler = TransformersSampler(TransformersOptions(model=str(TINY), threads=1))
    policy = Policy(name="sums@1", round=1, base=str(TINY), folder=str(tmp_path / "p"), kind=kind)
    sampling = Sampling(temperature=1.0, max_tokens=5, stop=("\n",))
    request = Request(prompt="12+34=", count=3, form="text", sampling=sampling, seed=0, policy=policy)
    answers = sampler.complete([request, request])
    assert [len(completions) for completions in answers] == [3, 3]
    completions = [completion for completions in answers for completion in completions]
    assert {completion.model for completion in completions} == {"sums@1"}
    assert all("\n" not in completion.text for completion in completions)


def test_loss_of_answers_only_and_its_gradient_equal_those_of_trl(tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer
    from trl import SFTTrainer

    from funsearch.trainers.process import AnswersOnly, make_sft

    task = job(tmp_path)
    examples = [*EXAMPLES[:6], Example("1+1=", "002 and more", "\n")]
    trainer = make_sft(
        Workplace(tmp_path), task, TrainerOptions(batch_size=7), AutoTokenizer.from_pretrained(TINY), examples
    )
    if not isinstance(trainer, AnswersOnly):
        pytest.skip("with a GPU the loss is TRL's own")
    model = trainer.model.eval()
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights)
    (batch,) = trainer.get_train_dataloader()
    losses = []
    for kind in (AnswersOnly, SFTTrainer):
        for count in (None, 10):
            model.zero_grad()
            loss = kind.compute_loss(trainer, model, dict(batch), num_items_in_batch=count)
            loss.backward()
            gradient = torch.cat([weights.grad.flatten() for weights in model.parameters() if weights.grad is not None])
            losses.append((float(loss.detach()), gradient))
    for own, trl in zip(losses[:2], losses[2:], strict=True):
        assert own[0] == pytest.approx(trl[0], rel=1e-5)
        assert (own[1] - trl[1]).norm() < 1e-4 * trl[1].norm()
    assert losses[0][0] != pytest.approx(losses[1][0])


def test_two_processes_train_the_same_policy_as_one_with_batches_twice_as_large(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    steps: list[int] = []
    adapters = []
    for processes, size in ((1, 16), (2, 8)):
        folder = tmp_path / str(processes)
        task = job(folder, processes=processes, batch_size=size, epochs=1.0)
        TrlTrainer().improve(task, EXAMPLES, lambda progress: steps.append(progress.step))
        adapters.append(load_file(folder / "adapter_model.safetensors"))
    assert steps == [1, 2, 3, 4] * 2
    for name, weights in adapters[0].items():
        assert (adapters[1][name] - weights).norm() < 1e-4 * weights.norm()


def test_training_resumed_with_another_batch_size_starts_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        TrlTrainer().improve(job(tmp_path / "p"), EXAMPLES, killed_at(6))
    steps: list[int] = []
    TrlTrainer().improve(job(tmp_path / "p", batch_size=16), EXAMPLES, lambda progress: steps.append(progress.step))
    assert steps == list(range(1, 17))


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_examples_that_are_too_long_are_left_out_and_counted(
    method: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    examples = [*EXAMPLES[:8], Example("1+1=" * 8, "002", "\n", "999", "\n")]
    done = TrlTrainer().improve(
        job(tmp_path / "p", max_length=20, epochs=1.0, method=method), examples, lambda progress: None
    )
    assert done.figures["examples"] == 8
    assert "1 of 9 examples are longer than trainer.max_length = 20 tokens" in caplog.text


def test_training_without_an_example_that_fits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"None of the 64 examples fits into 4 tokens: raise trainer.max_length"):
        TrlTrainer().improve(job(tmp_path / "p", max_length=4), EXAMPLES, lambda progress: None)


def test_model_without_a_chat_template_is_refused_for_chat(tmp_path: Path) -> None:
    assert not wants_chat(str(TINY), "auto")
    with pytest.raises(SamplerError, match="tiny has no chat template: set prompt_format=completion"):
        wants_chat(str(TINY), "chat")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text(json.dumps({}))
    with pytest.raises(SamplerError, match="broken has no weights"):
        wants_chat(str(broken), "auto")
