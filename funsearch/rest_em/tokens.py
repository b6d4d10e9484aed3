"""How a prompt and an answer become tokens: in one way for the samplers that ask and the trainer that teaches.

Takes any tokenizer of transformers; knows nothing about who uses the tokens.
"""

from typing import Any


def prompt_tokens(tokenizer: Any, prompt: str, *, chat: bool) -> list[int]:
    """Returns the tokens after which the answer begins."""
    if chat:
        turn = [{"role": "user", "content": prompt}]
        return list(tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=True, return_dict=False))
    return with_start(tokenizer, list(tokenizer.encode(prompt)))


def completion_tokens(tokenizer: Any, prompt: str, completion: str, ending: str, *, chat: bool) -> list[int]:
    """Returns the tokens of an answer, up to what ended it: the text `ending`, or the model's own token."""
    before = prompt_tokens(tokenizer, prompt, chat=chat)
    if chat:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        whole = list(tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False))
        if whole[: len(before)] == before:
            return whole[len(before) :]
        return [*tokenizer.encode(completion, add_special_tokens=False), tokenizer.eos_token_id]
    text = completion + ending
    whole = with_start(tokenizer, list(tokenizer.encode(prompt + text)))
    # Where tokens merge across the border, the answer is cut up by itself: the prompt stays what it was when asked.
    apart = whole[: len(before)] != before
    tokens = list(tokenizer.encode(text, add_special_tokens=False)) if apart else whole[len(before) :]
    if tokens[-1:] == [tokenizer.eos_token_id]:
        return tokens
    return tokens if ending else [*tokens, tokenizer.eos_token_id]


def with_start(tokenizer: Any, tokens: list[int]) -> list[int]:
    """Returns the tokens of a text with the token that begins one, if the model has it.

    Some converted tokenizers leave it out, and without it a model may print nothing but blanks.
    """
    if tokens[-1:] == [tokenizer.eos_token_id] and len(tokens) > 1:
        tokens = tokens[:-1]  # some tokenizers end every text
    start = tokenizer.bos_token_id
    return tokens if start is None or tokens[:1] == [start] else [start, *tokens]
