"""Turns prompts and answers into tokens, in the same way for the samplers and for the trainer.

Works with any tokenizer of transformers; knows nothing about how the tokens are used.
"""

from collections.abc import Sequence
from typing import Protocol


class Tokenizer(Protocol):
    """The part of a tokenizer of transformers that is used here."""

    @property
    def bos_token_id(self) -> int | None:
        """Token that begins a text; None if the model has no such token."""

    @property
    def eos_token_id(self) -> int:
        """Token that ends a text."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> Sequence[int]:
        """Returns the tokens of a text."""

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        add_generation_prompt: bool = False,
        tokenize: bool = True,
        return_dict: bool = True,
    ) -> Sequence[int]:
        """Returns the tokens of the turns of a chat."""


def prompt_tokens(tokenizer: Tokenizer, prompt: str, *, chat: bool) -> list[int]:
    """Returns the tokens that precede the answer."""
    if chat:
        turns = [{"role": "user", "content": prompt}]
        return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=True, return_dict=False))
    return with_start(tokenizer, list(tokenizer.encode(prompt)))


def completion_tokens(tokenizer: Tokenizer, prompt: str, completion: str, ending: str, *, chat: bool) -> list[int]:
    """Returns the tokens of an answer including what ended it: the text `ending`, or the model's own end token."""
    before = prompt_tokens(tokenizer, prompt, chat=chat)
    if chat:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        whole = list(tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False))
        if whole[: len(before)] == before:
            return whole[len(before) :]
        return [*tokenizer.encode(completion, add_special_tokens=False), tokenizer.eos_token_id]
    text = completion + ending
    whole = with_start(tokenizer, list(tokenizer.encode(prompt + text)))
    # Where a token spans the border, the answer is tokenized by itself: the prompt keeps the tokens it was sent with.
    separate = whole[: len(before)] != before
    tokens = list(tokenizer.encode(text, add_special_tokens=False)) if separate else whole[len(before) :]
    if tokens[-1:] == [tokenizer.eos_token_id]:
        return tokens
    return tokens if ending else [*tokens, tokenizer.eos_token_id]


def with_start(tokenizer: Tokenizer, tokens: list[int]) -> list[int]:
    """Returns the tokens of a text, beginning with the start token if the model has one.

    Some converted tokenizers omit it, and without it a model may print only blanks.
    """
    if tokens[-1:] == [tokenizer.eos_token_id] and len(tokens) > 1:
        tokens = tokens[:-1]  # some tokenizers end every text
    start = tokenizer.bos_token_id
    return tokens if start is None or tokens[:1] == [start] else [start, *tokens]
