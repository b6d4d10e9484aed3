"""Finds out whether a model wants its prompts in a chat, before any engine is started."""

import importlib.util
from typing import Literal

from funsearch.errors import SamplerError, first_line
from funsearch.samplers.model_folder import check_model, expanded, is_folder
from funsearch.samplers.text import speaks_chat


def wants_chat(model: str, wanted: Literal["auto", "completion", "chat"]) -> bool:
    """Returns whether to put tasks to a model as requests in a chat.

    Raises:
        SamplerError: there is no such model, or a chat is asked for and it has no template for one.
    """
    check_model(model)
    if wanted == "completion":
        return False
    if importlib.util.find_spec("transformers") is None:
        raise SamplerError('Reading a model\'s tokenizer needs transformers: pip install "funsearch[train]".')
    from transformers import AutoTokenizer, GenerationConfig

    # The libraries raise whatever reading a folder or a hub raises.
    try:
        tokenizer = AutoTokenizer.from_pretrained(expanded(model), local_files_only=is_folder(model))
    except Exception as error:
        raise SamplerError(f"The tokenizer of {model} cannot be loaded: {first_line(error)}") from None
    if wanted == "chat":
        if not getattr(tokenizer, "chat_template", None):
            raise SamplerError(f"The model {model} has no chat template: set prompt_format=completion.")
        return True
    try:
        ends = GenerationConfig.from_pretrained(expanded(model), local_files_only=is_folder(model)).eos_token_id
    except OSError:
        ends = None
    several = ends if isinstance(ends, list) else [ends]
    return speaks_chat(tokenizer, {*several, tokenizer.eos_token_id} - {None})
