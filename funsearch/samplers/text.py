"""The form in which a model receives a best-shot prompt: a text to continue, or a request in a chat.

Knows nothing about engines and endpoints.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection

from funsearch.rest_em.tokens import Tokenizer

CHAT_REQUEST = """\
Write the last function of this Python file so that it does its task better than the versions before it. Answer with \
that one function, complete, in a single Python code block, and nothing else.

```python
{prompt}
```"""

COMPLETION_STOPS = (
    "\ndef ",
    "\n#",
    "\nif ",
    "\nclass ",
    "\nprint",
    "\nimport ",
    "\nfrom ",
    "\n@",
    "\n\n\n",
    "\n```",
)
"""Stop strings of a base model: text at the left margin is outside the function. The first four end most samples."""


def chat_request(prompt: str) -> str:
    """Returns the message that asks a chat model for the function with which a base model would continue."""
    return CHAT_REQUEST.format(prompt=prompt.rstrip())


def speaks_chat(tokenizer: Tokenizer, ends: Collection[int]) -> bool:
    """Returns whether a model is to be prompted in a chat: its end tokens include the one that ends a turn.

    A chat template alone does not show it, since base models often carry the template of their chat version.

    Args:
        tokenizer: of the model.
        ends: ids of the tokens that end a text of the model.
    """
    if not getattr(tokenizer, "chat_template", None):
        return False
    turns = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]
    tokens = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    return not set(tokens[-4:]).isdisjoint(ends)


def last_lines(text: str, fits: Callable[[str], bool]) -> str:
    """Returns as many of the last lines of `text` as fit; an empty text if not even the last line does."""
    lines = text.splitlines(keepends=True)
    start = bisect_left(range(len(lines)), True, key=lambda first: fits("".join(lines[first:])))
    return "".join(lines[start:])
