"""How a best-shot prompt is put to a model: as a text to go on with, or as a request in a chat."""

CHAT_REQUEST = """\
Write the last function of this Python file so that it does its task better than the versions before it. Answer with \
that one function, complete, in a single Python code block, and nothing else.

```python
{prompt}
```"""

COMPLETION_STOPS = ("\ndef ", "\nclass ", "\nif ", "\nprint", "\nimport ", "\nfrom ", "\n#", "\n@", "\n\n\n", "\n```")
"""Where a base model has left the function's body: something begins at the margin."""


def chat_request(prompt: str) -> str:
    """Returns the request that asks a chat model for what a base model would go on with."""
    return CHAT_REQUEST.format(prompt=prompt.rstrip())
