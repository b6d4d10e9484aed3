"""The training process: the only module that imports TRL and PEFT. Run as a module with the folder of a job.

Reports on standard output, one JSON object per line: progress ({"step", "steps", "loss"}), warnings ({"warning"}) and
the error that ended it ({"error"}). Ends when the process that started it ends.
"""

import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from zipfile import ZipFile

import torch
from datasets import Dataset
from peft import LoraConfig
from safetensors import safe_open
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
)
from transformers.trainer_utils import TrainOutput, get_last_checkpoint
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from funsearch.errors import first_line
from funsearch.rest_em.ports import Example, ImproveJob
from funsearch.rest_em.tokens import completion_tokens, prompt_tokens
from funsearch.trainers.job import FIGURES, Report, Workplace
from funsearch.trainers.options import TrainerOptions

IGNORED = -100
"""Label of tokens that are not trained on."""


class CannotTrain(Exception):
    """Raised for problems that the user can fix; its text is the whole message."""


class TrainingState(Protocol):
    """The part of transformers' `TrainerState` that is used here."""

    is_world_process_zero: bool
    global_step: int
    max_steps: int
    log_history: list[dict[str, float]]


class Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Reports the progress after each step."""

    def on_step_end(self, args: object, state: TrainingState, control: object, **_: object) -> None:
        if not state.is_world_process_zero:
            return
        progress: Report = {"step": state.global_step, "steps": state.max_steps}
        if losses := logged_losses(state):
            progress["loss"] = losses[-1]
        report(progress)


def logged_losses(state: TrainingState) -> list[float]:
    """Returns the losses that were logged so far."""
    return [entry["loss"] for entry in state.log_history if "loss" in entry]


class AnswersOnly(SFTTrainer):  # type: ignore[misc]  # TRL is not typed
    """Computes logits of the answers only, whereas TRL also computes those of the prompts; used without a GPU.

    With a vocabulary as large as Gemma's, the logits of the prompts are most of the work.
    """

    def compute_loss(
        self,
        model: PreTrainedModel,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        labels = inputs["labels"]
        columns = (labels[:, 1:] != IGNORED).any(dim=0).nonzero().flatten()
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            logits_to_keep=columns,
            use_cache=False,
        ).logits
        targets = labels[:, columns + 1]
        total = cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
        if num_items_in_batch is None:
            return total / (targets != IGNORED).sum()
        # The count is over all processes, and gradients are averaged over them.
        return total / num_items_in_batch * self.accelerator.num_processes


def main(folder: Path) -> None:
    """Carries out the job of a folder."""
    end_with_parent()
    torch.manual_seed(0)
    place = Workplace(folder)
    job, options, examples = place.read()
    gpus = torch.cuda.device_count()
    if 0 < gpus < options.processes:
        raise CannotTrain(
            f"trainer.processes is {options.processes}, but this machine has {gpus} GPUs: set trainer.processes={gpus}."
        )
    tokenizer = AutoTokenizer.from_pretrained(job.base)
    if job.chat and not getattr(tokenizer, "chat_template", None):
        raise CannotTrain(f"The model {job.base} has no chat template: set prompt_format=completion.")
    make = make_dpo if options.method == "dpo" else make_sft
    trainer = make(place, job, options, tokenizer, examples)
    trainer.add_callback(Reporter())
    output = train(trainer, place)
    if not trainer.is_world_process_zero():
        return
    shutil.rmtree(place.policy, ignore_errors=True)
    trainer.save_model(str(place.policy))
    tokenizer.save_pretrained(str(place.policy))
    losses = logged_losses(trainer.state) or [output.training_loss]
    figures = {
        "steps": float(trainer.state.global_step),
        "examples": float(len(trainer.train_dataset)),
        "seconds": float(output.metrics.get("train_runtime", 0.0)),
        "loss": float(losses[-1]),
        "first_loss": float(losses[0]),
    }
    (place.policy / "training_args.bin").unlink(missing_ok=True)
    kind = "full" if options.full else "lora"
    (place.policy / FIGURES).write_text(json.dumps({"kind": kind, "policy": job.policy, "figures": figures}))


def make_sft(
    place: Workplace,
    job: ImproveJob,
    options: TrainerOptions,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
) -> SFTTrainer:
    """Returns a trainer that maximises the likelihood of the answers; prompts are not trained on."""
    rows = []
    for example in examples:
        before = prompt_tokens(tokenizer, example.prompt, chat=job.chat)
        after = completion_tokens(tokenizer, example.prompt, example.completion, example.ending, chat=job.chat)
        if len(before) + len(after) <= options.max_length:
            rows.append({"input_ids": before + after, "completion_mask": [0] * len(before) + [1] * len(after)})
    check_fitting(len(rows), len(examples), options)
    config = SFTConfig(max_length=options.max_length, completion_only_loss=True, **arguments(place, job, options))
    kind = SFTTrainer if torch.cuda.is_available() else AnswersOnly
    return kind(
        model=load_model(job, options),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter(options),
    )


def make_dpo(
    place: Workplace,
    job: ImproveJob,
    options: TrainerOptions,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
) -> DPOTrainer:
    """Returns a trainer that prefers correct answers to wrong ones."""
    pairs = [example for example in examples if example.rejected is not None]
    if not pairs:
        raise CannotTrain("No task has both a correct and a wrong answer: DPO has nothing to compare.")
    rows = []
    for example in pairs:
        completions = [(example.completion, example.ending), (str(example.rejected), example.rejected_ending)]
        before = len(prompt_tokens(tokenizer, example.prompt, chat=job.chat))
        after = (
            len(completion_tokens(tokenizer, example.prompt, text, ending, chat=job.chat))
            for text, ending in completions
        )
        if before + max(after) <= options.max_length:
            rows.append(chat_pair(example) if job.chat else text_pair(tokenizer, example))
    check_fitting(len(rows), len(pairs), options)
    config = DPOConfig(max_length=options.max_length, beta=options.beta, **arguments(place, job, options))
    return DPOTrainer(
        model=load_model(job, options),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter(options),
    )


def chat_pair(example: Example) -> dict[str, object]:
    """Returns a pair of answers in a chat as TRL expects it."""
    return {
        "prompt": [{"role": "user", "content": example.prompt}],
        "chosen": [{"role": "assistant", "content": example.completion}],
        "rejected": [{"role": "assistant", "content": example.rejected}],
    }


def text_pair(tokenizer: PreTrainedTokenizerBase, example: Example) -> dict[str, object]:
    """Returns a pair of completions of a text as TRL expects it."""
    # A tokenizer that adds the start token itself must not get it twice.
    adds_start = tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
    start = "" if adds_start else tokenizer.bos_token or ""
    return {
        "prompt": start + example.prompt,
        "chosen": example.completion + example.ending,
        "rejected": str(example.rejected) + example.rejected_ending,
    }


def check_fitting(fitting: int, total: int, options: TrainerOptions) -> None:
    """Warns of examples that are dropped for their length.

    Raises:
        CannotTrain: no example fits.
    """
    limit = options.max_length
    if not fitting:
        raise CannotTrain(f"None of the {total} examples fits into {limit} tokens: raise trainer.max_length.")
    if fitting < total and os.environ.get("RANK", "0") == "0":  # only one of several processes reports it
        dropped = f"{total - fitting} of {total} examples"
        report({"warning": f"{dropped} are longer than trainer.max_length = {limit} tokens and are dropped."})


def arguments(place: Workplace, job: ImproveJob, options: TrainerOptions) -> dict[str, object]:
    """Returns the configuration that both methods share."""
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(place.checkpoints),
        "per_device_train_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.gradient_accumulation_steps,
        "num_train_epochs": options.epochs,
        "learning_rate": options.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": options.warmup_steps,
        "logging_steps": 10,
        "save_strategy": "steps",
        "save_steps": options.save_steps,
        "save_total_limit": 2,
        "seed": job.seed % 2**31,
        "data_seed": job.seed % 2**31,
        "use_cpu": not gpu,
        "bf16": gpu,
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        "report_to": [],
        "disable_tqdm": True,
    }


def load_model(job: ImproveJob, options: TrainerOptions) -> PreTrainedModel:
    """Returns the base model, never the policy of the previous round (Singh et al., section 4)."""
    half = torch.cuda.is_available() and not options.full
    return AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.bfloat16 if half else torch.float32)


def adapter(options: TrainerOptions) -> LoraConfig | None:
    """Returns the configuration of the adapter to train, None to train all weights."""
    if options.full:
        return None
    # All linear layers except the head, for which vLLM serves no adapters.
    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha or 2 * options.rank,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def train(trainer: Trainer, place: Workplace) -> TrainOutput:
    """Trains from the latest intact checkpoint, or from the beginning."""
    with trainer.args.main_process_first(desc="looking for a checkpoint"):
        latest = intact_checkpoint(place.checkpoints)
    return trainer.train(resume_from_checkpoint=latest)


def intact_checkpoint(folder: Path) -> str | None:
    """Returns the latest intact checkpoint, None if there is none; deletes damaged ones.

    Checkpoints are verified before anything is loaded: after loading half a checkpoint, a trainer no longer holds the
    base model.
    """
    while latest := get_last_checkpoint(str(folder)) if folder.is_dir() else None:
        # Reading a half-written file may raise anything.
        try:
            check_checkpoint(Path(latest))
            return str(latest)
        except Exception as error:
            report({"warning": f"The checkpoint {latest} is damaged ({first_line(error)}): using the one before it."})
            shutil.rmtree(latest)
    return None


def check_checkpoint(folder: Path) -> None:
    """Reads a checkpoint; raises any error that a damaged file causes."""
    json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))  # written last
    weights = list(folder.glob("*.safetensors"))
    for file in weights:
        with safe_open(file, "pt") as opened:
            opened.keys()
    for name in ("optimizer.pt", "scheduler.pt"):
        with ZipFile(folder / name) as archive:
            if broken := archive.testzip():
                raise ValueError(f"{name}: {broken} is damaged")
    if not weights:
        raise ValueError("there are no weights")


def report(message: Report) -> None:
    """Prints a report as one line of JSON."""
    print(json.dumps(message), flush=True)


def end_with_parent() -> None:
    """Ends this process when the one that started it ends in any way, which closes our standard input."""

    def wait() -> None:
        # Not through sys.stdin, whose lock would block the interpreter at exit.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def message(error: Exception) -> str:
    """Returns what went wrong and what to do, in one line."""
    if isinstance(error, CannotTrain):
        return str(error)
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text:
        return f"Too little memory to train ({text[:120]}): lower trainer.batch_size or trainer.max_length."
    return f"The trainer failed: {type(error).__name__}: {text}"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    # Any error of the libraries ends here: one line for the user, the traceback for the log.
    except Exception as error:
        traceback.print_exc()
        report({"error": message(error)})
        sys.exit(1)
