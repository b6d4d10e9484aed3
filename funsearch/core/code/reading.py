"""Reads the function out of what a model wrote, and tells when two functions are the same.

A base model goes on where the prompt ends; a chat model writes an essay with the function somewhere in it. Knows
nothing about how the text came to be or what becomes of the function.
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
from funsearch.core.code.whole_function import code_blocks, find_restated, is_definition, is_needed, read_restated
from funsearch.core.records import Function
from funsearch.core.specification import Specification

MAX_CHARACTERS = 65_536
"""What is longer is cut off like any other answer that ended for its length; a body has a hundredth of that."""
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)


class UnreadableCompletion(ValueError):
    """Raised when no function can be read from a text; says why."""


def read_completion(specification: Specification, text: str, version: int) -> Function:
    """Returns the function in a model's answer to a prompt that asked for `f_v{version}`.

    The answer may be the body (a continuation of the prompt, however indented, and cut back to its longest valid
    prefix), or a text with the whole function in it: then imports, constants and helpers above it come along.

    Raises:
        UnreadableCompletion: there is no function in it, or one that calls an earlier version or does not compile.
    """
    answer = clean(text)[:MAX_CHARACTERS].rpartition("</think>")[2]
    fragments = [fragment.split("\n") for fragment in _FENCE.split(answer) if fragment.strip()]
    naming = Naming(specification.name, version)
    try:
        body = continuation(fragments[0], naming) if fragments else None
        if body is None:
            blocks = [block for fragment in fragments for block in code_blocks(fragment)]
            restated = find_restated(specification, blocks, naming)
            if restated is not None:
                return _finish(specification, read_restated(specification, restated, is_definition), restated.naming)
            body = any_body(fragments, naming)
        if body is None:
            raise UnreadableCompletion(f"no body of {specification.name} in it")
        return _finish(specification, Function(block_text(body.lines, body.statements, depth=1)), naming)
    except Unparsable as error:
        raise UnreadableCompletion(error.reason) from error


def read_file(specification: Specification, text: str) -> Function:
    """Returns the function in a file: the evolved function, under its name or a version's, with what it needs above it.

    All of the file is taken at its word: nothing is cut off to make it parse, and every statement above the function is
    kept, but for what restates the skeleton.

    Raises:
        UnreadableCompletion: there is no such function, or one that calls a version of it or does not compile.
    """
    text = clean(text)
    if len(text) > MAX_CHARACTERS:
        raise UnreadableCompletion(f"{len(text)} characters, where {MAX_CHARACTERS} are allowed")
    try:
        module = parse(text)
        block = Block(["", *text.split("\n")], ast.increment_lineno(module).body)
        restated = find_restated(specification, [block], Naming(specification.name, None))
        if restated is None:
            raise UnreadableCompletion(f"no function {specification.name} in it")
        return _finish(specification, read_restated(specification, restated, is_needed), restated.naming)
    except Unparsable as error:
        raise UnreadableCompletion(str(error)) from error


def _finish(specification: Specification, function: Function, naming: Naming) -> Function:
    """Returns the function under the specification's name, if it stands on its own and compiles."""
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
    """Refuses a function that calls itself as `f_v{version}` and has a variable that is called `f`."""
    if naming.name in bound_names(walk(parse(f"def _():\n{function.body}"))):
        raise UnreadableCompletion(f"calls itself, but {naming.name} is a variable in it")
