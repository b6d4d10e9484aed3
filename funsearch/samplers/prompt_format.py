"""Decides whether a model is prompted in a chat, from its tokenizer alone: no engine is started."""

import importlib.util
from typing import Literal

from funsearch.errors import SamplerError, first_line
from funsearch.samplers.model_folder import check_model, expanded, is_folder
from funsearch.samplers.text import speaks_chat


def wants_chat(model: str, wanted: Literal["auto", "completion", "chat"]) -> bool:
    """Returns whether to prompt a model in a chat.

    Args:
        model: a folder, or a name on a hub.
        wanted: the setting `prompt_format`; `auto` decides by the model's end tokens and chat template.

    Raises:
        SamplerError: there is no such model, or `wanted` is `chat` and the model has no chat template.
    """
    check_model(model)
    if wanted == "completion":
        return False
    if importlib.util.find_spec("transformers") is None:
        raise SamplerError('Reading a model\'s tokenizer needs transformers: pip install "funsearch[train]".')
    from transformers import AutoTokenizer, GenerationConfig

    # Reading a folder or a hub may raise any exception.
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
    end_tokens = ends if isinstance(ends, list) else [ends]
    return speaks_chat(tokenizer, {*end_tokens, tokenizer.eos_token_id} - {None})
