"""A language model of 0.8 million parameters, pretrained on a quarter of the sums of two-digit numbers.

usage: python tiny_model.py model FOLDER     pretrains the model
       python tiny_model.py tasks FILE       writes sums that it has not seen: 1500 to train on, 1000 held out
"""

import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).with_name("tiny")
"""The pretrained model."""
WORDS = ["<pad>", "<bos>", "<eos>", *"0123456789+= \n"]
STEPS = 500
SEEN, TRAINED, HELDOUT = 2500, 1500, 1000


def pairs() -> list[tuple[int, int]]:
    shuffled = [(a, b) for a in range(100) for b in range(100)]
    random.Random(0).shuffle(shuffled)
    return shuffled


def question(pair: tuple[int, int]) -> str:
    return f"{pair[0]:02d}+{pair[1]:02d}="


def write_tasks(path: Path, trained: int = TRAINED, heldout: int = HELDOUT) -> Path:
    """Writes sums that the model has not seen: some to train on, others held out."""
    start = SEEN + TRAINED
    splits = {"train": pairs()[SEEN : SEEN + trained], "heldout": pairs()[start : start + heldout]}
    lines = [
        {"prompt": question(pair), "answer": f"{sum(pair):03d}", "family": "sums", "split": split}
        for split, members in splits.items()
        for pair in members
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def word_tokenizer(words: Sequence[str], pattern: str) -> "PreTrainedTokenizerFast":
    """Returns a tokenizer with a token for each of these words; `pattern` matches them in a text."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    plain = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<pad>"))
    plain.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    plain.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", padding_side="left"
    )


def pretrain(folder: Path, steps: int = STEPS) -> None:
    """Trains the base model and saves it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = word_tokenizer(WORDS, r"[0-9+= \n]")
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=64,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = LlamaForCausalLM(config)
    texts = [f"{question(pair)}{sum(pair):03d}\n" for pair in pairs()[:SEEN]]
    tokens = torch.tensor([[1, *tokenizer(text).input_ids] for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for step in range(steps):
        batch = tokens[torch.randint(0, len(tokens), (128,))]
        labels = batch.clone()
        labels[:, :7] = -100
        loss = model(input_ids=batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    {"model": pretrain, "tasks": write_tasks}[sys.argv[1]](Path(sys.argv[2]))
