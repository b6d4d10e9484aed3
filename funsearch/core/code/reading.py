"""Reads the evolved function from the completion of a model, or from a file.

A base model continues the prompt with the body; a chat model writes prose with the whole function somewhere in it.
Knows nothing about how the text was generated or how the function is used.
"""

import ast
import re

from funsearch.core.code.body import any_body, continuation
from funsearch.core.code.naming import Naming
from funsearch.core.code.source import (
    Block,
    Unparsable,
    block_text,
    bound_names,
    check_compiles,
    clean,
    parse,
    rename,
    walk,
)
from funsearch.core.code.whole_function import (
    code_blocks,
    find_whole_function,
    is_definition,
    is_needed,
    read_whole_function,
)
from funsearch.core.records import Function
from funsearch.core.specification import Specification

MAX_CHARACTERS = 65_536
"""Longer completions are truncated, as at a token limit. A typical body has about a hundredth of this length."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)


class UnreadableCompletion(ValueError):
    """Raised when no function can be read from a text; the message says why."""


def read_completion(specification: Specification, text: str, version: int) -> Function:
    """Returns the function in a model's completion of a prompt that asked for `f_v{version}`.

    The completion may be the body (a continuation of the prompt with any indentation, truncated to its longest valid
    prefix), or a text with the whole function in it, which is read together with the imports, constants and helper
    functions above it.

    Raises:
        UnreadableCompletion: the text has no function, or the function calls an earlier version or does not compile.
    """
    completion = clean(text)[:MAX_CHARACTERS].rpartition("</think>")[2]
    fragments = [fragment.split("\n") for fragment in _FENCE.split(completion) if fragment.strip()]
    naming = Naming(specification.name, version)
    try:
        body = continuation(fragments[0], naming) if fragments else None
        if body is None:
            blocks = [block for fragment in fragments for block in code_blocks(fragment)]
            whole = find_whole_function(specification, blocks, naming)
            if whole is not None:
                return _finish(specification, read_whole_function(specification, whole, is_definition), whole.naming)
            body = any_body(fragments, naming)
        if body is None:
            raise UnreadableCompletion(f"contains no body of {specification.name}")
        return _finish(specification, Function(block_text(body.lines, body.statements, depth=1)), naming)
    except Unparsable as error:
        raise UnreadableCompletion(error.reason) from error


def read_file(specification: Specification, text: str) -> Function:
    """Returns the evolved function in a file, under its own name or that of a version, with the code it needs above it.

    A file is read strictly: nothing is truncated to make it parse, and all statements above the function are kept,
    except those that repeat the skeleton.

    Raises:
        UnreadableCompletion: the file has no such function, or the function calls a version of itself or does not
            compile.
    """
    text = clean(text)
    if len(text) > MAX_CHARACTERS:
        raise UnreadableCompletion(f"has {len(text)} characters; at most {MAX_CHARACTERS} are allowed")
    try:
        module = parse(text)
        block = Block(["", *text.split("\n")], ast.increment_lineno(module).body)
        whole = find_whole_function(specification, [block], Naming(specification.name, None))
        if whole is None:
            raise UnreadableCompletion(f"contains no function {specification.name}")
        return _finish(specification, read_whole_function(specification, whole, is_needed), whole.naming)
    except Unparsable as error:
        raise UnreadableCompletion(str(error)) from error


def _finish(specification: Specification, function: Function, naming: Naming) -> Function:
    """Returns the function under its specified name; refuses one that uses earlier versions or does not compile."""
    alias = naming.alias
    if alias is not None:
        renamed = Function(rename(function.body, alias, naming.name), rename(function.preamble, alias, naming.name))
        if renamed != function:
            _check_name_is_free(function, naming)
        function = renamed
    tree = parse(specification.function_source(function))
    for node in walk(tree):
        if isinstance(node, ast.Name) and naming.is_ancestor(node.id):
            raise UnreadableCompletion(f"calls the earlier version {node.id}")
    check_compiles(tree, specification.skeleton.flags)
    return function


def _check_name_is_free(function: Function, naming: Naming) -> None:
    """Refuses a function that calls itself as `f_v{version}` and has a local variable `f`."""
    if naming.name in bound_names(walk(parse(f"def _():\n{function.body}"))):
        raise UnreadableCompletion(f"calls itself, but has a variable {naming.name}")
