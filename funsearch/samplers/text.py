"""How a best-shot prompt is put to a model: as a text to go on with, or as a request in a chat.

Knows nothing about engines and endpoints.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection
from typing import Any

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
"""Where a base model has left the function's body: something begins at the margin. The first four end most of them."""


def chat_request(prompt: str) -> str:
    """Returns the request that asks a chat model for what a base model would go on with."""
    return CHAT_REQUEST.format(prompt=prompt.rstrip())


def speaks_chat(tokenizer: Any, ends: Collection[int]) -> bool:
    """Tells whether a model wants its prompts in a chat: it ends a text as its chat template ends a turn.

    A template alone says little, since base models often carry that of their tuned sibling.

    Args:
        ends: ids of the tokens with which the model ends what it writes.
    """
    if not getattr(tokenizer, "chat_template", None):
        return False
    turns = [{"role": "user", "content": "1 + 1"}, {"role": "assistant", "content": "2"}]
    tokens = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
    return not set(tokens[-4:]).isdisjoint(ends)


def last_lines(text: str, fits: Callable[[str], bool]) -> str:
    """Returns as many of the last lines of `text` as fit; none when not even the last one does."""
    lines = text.splitlines(keepends=True)
    dropped = bisect_left(range(len(lines)), True, key=lambda first: fits("".join(lines[first:])))
    return "".join(lines[dropped:])
