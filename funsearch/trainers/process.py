"""The training process: the one place that imports TRL and PEFT. Run as a module with the folder of a job.

Says on standard output, one JSON object a line, how it stands ({"step", "steps", "loss"}), what it put up with
({"warning"}) and why it gave up ({"error"}). Ends with the process that started it.
"""

import json
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from datasets import Dataset
from peft import LoraConfig
from safetensors import safe_open
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from funsearch.errors import first_line
from funsearch.rest_em.ports import Example
from funsearch.rest_em.tokens import completion_tokens, prompt_tokens
from funsearch.trainers.job import FIGURES, Workplace
from funsearch.trainers.options import TrainerOptions

IGNORED = -100
"""Label of tokens that are not learnt."""


class CannotTrain(Exception):
    """Raised for what the user can mend; its text is the whole message."""


class Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Says after each step how the training stands."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        if state.is_world_process_zero:
            say(step=state.global_step, steps=state.max_steps, **({"loss": losses[-1]} if losses else {}))


class AnswersOnly(SFTTrainer):  # type: ignore[misc]  # TRL is not typed
    """Computes logits of the answers only, where TRL does so of the prompts as well: without a GPU.

    With a vocabulary as large as Gemma's, those of the prompts are most of the work.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
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
        # Counted over all processes, among which gradients are averaged.
        return total / num_items_in_batch * self.accelerator.num_processes


def main(folder: Path) -> None:
    """Does the job of a folder."""
    end_with_parent()
    torch.manual_seed(0)
    place = Workplace(folder)
    job, examples = place.read()
    options = TrainerOptions(**job["options"])
    if 0 < torch.cuda.device_count() < options.processes:
        raise CannotTrain(f"trainer.processes is {options.processes}, the GPUs here are {torch.cuda.device_count()}.")
    tokenizer = AutoTokenizer.from_pretrained(job["base"])
    if job["chat"] and not getattr(tokenizer, "chat_template", None):
        raise CannotTrain(f"The model {job['base']} has no chat template: set prompt_format=completion.")
    make = make_dpo if options.method == "dpo" else make_sft
    trainer = make(place, job, options, tokenizer, examples)
    trainer.add_callback(Reporter())
    done = train(trainer, place)
    if not trainer.is_world_process_zero():
        return
    shutil.rmtree(place.policy, ignore_errors=True)
    trainer.save_model(str(place.policy))
    tokenizer.save_pretrained(str(place.policy))
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    figures = {
        "steps": float(trainer.state.global_step),
        "examples": float(len(trainer.train_dataset)),
        "seconds": float(done.metrics.get("train_runtime", 0.0)),
        "loss": float(losses[-1]) if losses else float(done.training_loss),
        "first_loss": float(losses[0]) if losses else float(done.training_loss),
    }
    (place.policy / "training_args.bin").unlink(missing_ok=True)
    kind = "full" if options.full else "lora"
    (place.policy / FIGURES).write_text(json.dumps({"kind": kind, "policy": job["policy"], "figures": figures}))


def make_sft(
    place: Workplace, job: dict[str, Any], options: TrainerOptions, tokenizer: Any, examples: Sequence[Example]
) -> SFTTrainer:
    """Returns a trainer of the likelihood of answers; what is asked is not learnt."""
    rows = []
    for example in examples:
        before = prompt_tokens(tokenizer, example.prompt, chat=job["chat"])
        after = completion_tokens(tokenizer, example.prompt, example.completion, example.ending, chat=job["chat"])
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
    place: Workplace, job: dict[str, Any], options: TrainerOptions, tokenizer: Any, examples: Sequence[Example]
) -> DPOTrainer:
    """Returns a trainer that prefers right answers to wrong ones."""
    rows: list[dict[str, Any]] = []
    pairs = [example for example in examples if example.rejected is not None]
    if not pairs:
        raise CannotTrain("No task has a right and a wrong answer: DPO has nothing to compare.")
    for example in pairs:
        texts = [(example.completion, example.ending), (str(example.rejected), example.rejected_ending)]
        before = len(prompt_tokens(tokenizer, example.prompt, chat=job["chat"]))
        after = (len(completion_tokens(tokenizer, example.prompt, *one, chat=job["chat"])) for one in texts)
        if before + max(after) > options.max_length:
            continue
        if job["chat"]:
            prompt: Any = [{"role": "user", "content": example.prompt}]
            chosen: Any = [{"role": "assistant", "content": example.completion}]
            rejected: Any = [{"role": "assistant", "content": example.rejected}]
        else:
            start = tokenizer.bos_token or ""
            # A tokenizer that adds the token by itself must not get it twice.
            own = tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
            prompt = example.prompt if own else start + example.prompt
            chosen, rejected = ("".join(one) for one in texts)
        rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    check_fitting(len(rows), len(pairs), options)
    config = DPOConfig(max_length=options.max_length, beta=options.beta, **arguments(place, job, options))
    return DPOTrainer(
        model=load_model(job, options),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapter(options),
    )


def check_fitting(fitting: int, of: int, options: TrainerOptions) -> None:
    """Says how many examples are left out for their length.

    Raises:
        CannotTrain: all of them.
    """
    if not fitting:
        raise CannotTrain(
            f"None of the {of} examples fits into {options.max_length} tokens: set trainer.max_length higher."
        )
    if fitting < of and os.environ.get("RANK", "0") == "0":  # of several processes one says it
        say(
            warning=f"{of - fitting} of {of} examples are longer than trainer.max_length = {options.max_length} tokens "
            "and are left out."
        )


def arguments(place: Workplace, job: dict[str, Any], options: TrainerOptions) -> dict[str, Any]:
    """Returns what both methods are configured with."""
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
        "seed": job["seed"] % 2**31,
        "data_seed": job["seed"] % 2**31,
        "use_cpu": not gpu,
        "bf16": gpu,
        "gradient_checkpointing": gpu,
        "dataloader_pin_memory": gpu,
        "report_to": [],
        "disable_tqdm": True,
    }


def load_model(job: dict[str, Any], options: TrainerOptions) -> Any:
    """Returns the base model: never the policy of the round before (Singh et al., section 4)."""
    half = torch.cuda.is_available() and not options.full
    return AutoModelForCausalLM.from_pretrained(job["base"], dtype=torch.bfloat16 if half else torch.float32)


def adapter(options: TrainerOptions) -> LoraConfig | None:
    """Returns the adapter to be trained, None for all weights."""
    if options.full:
        return None
    # All linear layers but the head, which vLLM does not serve.
    return LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha or 2 * options.rank,
        lora_dropout=options.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def train(trainer: Any, place: Workplace) -> Any:
    """Trains from the latest checkpoint that is whole, or from the beginning."""
    with trainer.args.main_process_first(desc="looking for a checkpoint"):
        latest = whole_checkpoint(place.checkpoints)
    return trainer.train(resume_from_checkpoint=latest)


def whole_checkpoint(folder: Path) -> str | None:
    """Returns the latest checkpoint that is whole, None if there is none; what is not is deleted.

    Looked at before anything is loaded: a trainer that has taken over half a checkpoint is not the base model any more.
    """
    while latest := get_last_checkpoint(str(folder)) if folder.is_dir() else None:
        # What a half-written file makes of its readers is theirs to choose.
        try:
            check_checkpoint(Path(latest))
            return str(latest)
        except Exception as error:
            say(warning=f"The checkpoint {latest} is not whole ({first_line(error)}): going on from the one before it.")
            shutil.rmtree(latest)
    return None


def check_checkpoint(folder: Path) -> None:
    """Raises whatever reading a checkpoint that is not whole raises."""
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


def say(**what: Any) -> None:
    """Prints one JSON object."""
    print(json.dumps(what), flush=True)


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone, however it went: its end of our input closes."""

    def wait() -> None:
        # Not through sys.stdin, whose lock nobody could take at the end.
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def message(error: Exception) -> str:
    """Returns in one line what went wrong and what to do."""
    if isinstance(error, CannotTrain):
        return str(error)
    said = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in said:
        return f"Too little memory to train ({said[:120]}): set trainer.batch_size or trainer.max_length lower."
    return f"The trainer failed: {type(error).__name__}: {said}"


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    # Whatever the libraries raise ends here, in one line for the user and in full for the log.
    except Exception as error:
        traceback.print_exc()
        say(error=message(error))
        sys.exit(1)
