"""Programs with tests, run in the sandbox: APPS-style inputs and outputs, and HumanEval-style functions.

Expected outputs stay on the trusted side: the program runs in the sandbox and its results are compared here. A
HumanEval-style `check` is trusted code of the task file; it runs here and calls the function in the sandbox.
"""

import ast
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from funsearch.core.code.identity import key
from funsearch.core.ports import CandidateFailure, CandidateProcess, Sandbox
from funsearch.core.problem import Candidate
from funsearch.core.records import Function, Limits, Status
from funsearch.errors import SandboxError, TrainingError
from funsearch.rest_em.options import TaskOptions
from funsearch.rest_em.ports import OpenVerifier, Verifier
from funsearch.rest_em.records import Grade, Graded, Task
from funsearch.tasks.drafts import Draft, Line, make_tasks, read_lines

RELATIVE_ERROR = 1e-6
"""Tolerance, relative or absolute, of a float against the expected one."""
STANDARD_INPUT = "_funsearch_main"
_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)

PROGRAM = """\
def {main}(text):
    import io, sys
    before, sys.stdin, sys.stdout = (sys.stdin, sys.stdout), io.StringIO(text), io.StringIO()
    try:
        exec(compile({source!r}, "program.py", "exec"), {{"__name__": "__main__"}})
    except SystemExit:
        pass
    finally:
        (sys.stdin, out), sys.stdout = (before[0], sys.stdout), before[1]
    return out.getvalue()
"""
"""Wraps a program that reads standard input in a function."""


@dataclass(frozen=True, slots=True)
class CodeTasks:
    """Tasks with `question` and `input_output`, or with `prompt`, `entry_point` and `test`; a file may mix them."""

    path: Path
    name: str = "code"
    stop: tuple[str, ...] = ("\n```", "\nQUESTION:", "\nif __name__", "\nprint(", "\nassert ", "\n# Test")
    max_tokens: int = 512
    across_tasks: bool = False

    def tasks(self, options: TaskOptions, *, chat: bool, seed: int) -> list[Task]:
        drafts = [_draft(line) for line in read_lines(self.path)]
        wording = _request if chat else _text
        return make_tasks(str(self.path), drafts, options, seed, wording=lambda _, draft: wording(draft))

    def verifier(self, options: TaskOptions) -> OpenVerifier:
        return partial(_open, Limits(seconds=options.seconds))

    def recorded(self, tasks: Sequence[Task]) -> Iterator[Graded]:
        return iter(())


class CodeVerifier:
    """Runs the tests of a task on the code in an answer, all of them in one process."""

    def __init__(self, sandbox: Sandbox, limits: Limits) -> None:
        self._sandbox = sandbox
        self._limits = limits

    def grade(self, task: Task, text: str) -> Grade:
        reference = task.reference
        source = program(text, reference)
        keys = (_identity(source),)
        try:
            with self._sandbox.start(_callable(source, reference), self._limits) as process:
                mistake = _check(process, reference) if "test" in reference else _compare(process, reference)
        except CandidateFailure as failure:
            if failure.status is Status.INFRA:
                raise SandboxError(f"The task {task.key} cannot be run: {failure.detail}.") from None
            mistake = str(failure)
        return Grade(float(not mistake), keys[0], keys, mistake)

    def close(self) -> None:
        self._sandbox.close()


def _open(limits: Limits, sandbox: Callable[[], Sandbox]) -> Verifier:
    return CodeVerifier(sandbox(), limits)


def program(text: str, reference: Mapping[str, object]) -> str:
    """Returns the program in an answer: the code in its last fence, or all of it, after the prompt it completes."""
    blocks = _FENCE.findall(text)
    code = blocks[-1] if blocks else text
    if "test" not in reference:
        return str(code)
    prompt, function = str(reference["prompt"]), str(reference["entry_point"])
    if re.search(rf"^(async )?def {re.escape(function)}\b", code, re.MULTILINE):
        # A whole function, which may still need the imports and helpers above it in the prompt.
        above = prompt.partition(f"def {function}")[0]
        return f"{above}\n{code}"
    return prompt + code


def code(argument: str, options: TaskOptions) -> CodeTasks:
    """Returns the task set `code:FILE`."""
    if not argument:
        raise TrainingError("The task set code needs a JSON Lines file, as in code:apps.jsonl.")
    return CodeTasks(Path(argument))


def _draft(line: Line) -> Draft:
    family = str(line.data.get("difficulty") or line.data.get("family") or "code")
    name = line.key("task_id", "problem_id")
    if "input_output" in line.data or "question" in line.data:
        question = line.text("question")
        starter = str(line.data.get("starter_code") or "")
        return Draft(
            key=name, family=family, question=question, solution=starter, reference=_tests(line), split=line.split()
        )
    prompt, test, entry = line.text("prompt"), line.text("test"), line.text("entry_point")
    for field, source in (("test", test), ("prompt", prompt)):
        try:
            ast.parse(source if field == "test" else f"{prompt.rstrip()}\n    pass\n")
        except SyntaxError as error:
            raise line.error(f"`{field}` is not valid Python ({error.msg})") from None
    reference = {"prompt": prompt, "test": test, "entry_point": entry}
    return Draft(key=name, family=family, question=prompt, solution="", reference=reference, split=line.split())


def _tests(line: Line) -> dict[str, object]:
    tests = line.data.get("input_output")
    if isinstance(tests, str):
        try:
            tests = json.loads(tests)
        except ValueError as error:
            raise line.error(f"`input_output` is not JSON ({error})") from None
    if not isinstance(tests, dict):
        raise line.error("there is no field `input_output` with `inputs` and `outputs`")
    inputs, outputs = tests.get("inputs"), tests.get("outputs")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs) or not inputs:
        raise line.error("`input_output` needs `inputs` and `outputs`, two non-empty lists of the same length")
    function = tests.get("fn_name")
    return {"inputs": inputs, "outputs": outputs} | ({"fn_name": function} if function else {})


def _text(draft: Draft) -> str:
    if "test" in draft.reference:
        return draft.question
    return f"QUESTION:\n{draft.question}\n{draft.solution}\n{_instruction(draft)}\n\nANSWER:\n```python\n"


def _request(draft: Draft) -> str:
    if "test" in draft.reference:
        return f"Complete this function. Answer with the whole of it in one Python code block.\n\n{draft.question}"
    return f"{draft.question}\n{draft.solution}\n{_instruction(draft)} Answer with one Python code block."


def _instruction(draft: Draft) -> str:
    function = draft.reference.get("fn_name")
    return f"Write the function `{function}`." if function else "Read standard input and print the answer."


def _callable(source: str, reference: Mapping[str, object]) -> str:
    """Returns a module that defines the function that the tests call."""
    if "test" in reference:
        return source
    function = reference.get("fn_name")
    if function is None:
        return PROGRAM.format(main=STANDARD_INPUT, source=source)
    return f'{source}\n\nif "{function}" not in globals():\n    {function} = Solution().{function}\n'


def _compare(process: CandidateProcess, reference: Mapping[str, object]) -> str:
    """Returns which test fails, or an empty text."""
    inputs, outputs = cast(list[object], reference["inputs"]), cast(list[object], reference["outputs"])
    function = reference.get("fn_name")
    for number, (value, expected) in enumerate(zip(inputs, outputs, strict=True), 1):
        process.begin_input()
        if function is None:
            text = "\n".join(value) if isinstance(value, list) else value
            same = _same_lines(process.call(STANDARD_INPUT, [text]), expected)
        else:
            result = process.call(str(function), value if isinstance(value, list) else [value])
            # APPS wraps some expected values in a list.
            wrapped = isinstance(expected, list) and len(expected) == 1 and _same(result, expected[0])
            same = wrapped or _same(result, expected)
        if not same:
            return f"test {number}: the result differs from the expected one"
    return ""


def _same_lines(printed: object, expected: object) -> bool:
    lines = "\n".join(map(str, expected)) if isinstance(expected, list) else str(expected)
    words, expected_words = str(printed).split(), lines.split()
    return len(words) == len(expected_words) and all(map(_same_word, words, expected_words))


def _same_word(word: str, expected: str) -> bool:
    if word == expected:
        return True
    if "." not in expected:
        return False
    try:
        return math.isclose(float(word), float(expected), rel_tol=RELATIVE_ERROR, abs_tol=RELATIVE_ERROR)
    except ValueError:
        return False


def _same(value: object, expected: object) -> bool:
    if isinstance(value, list | tuple) and isinstance(expected, list | tuple):
        return len(value) == len(expected) and all(map(_same, value, expected))
    if isinstance(value, dict) and isinstance(expected, dict):
        return {str(k) for k in value} == {str(k) for k in expected} and all(
            _same(v, expected.get(k, expected.get(str(k)))) for k, v in value.items()
        )
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, int | float) and isinstance(expected, int | float):
        return math.isclose(value, expected, rel_tol=RELATIVE_ERROR, abs_tol=RELATIVE_ERROR)
    return type(value) is type(expected) and bool(value == expected)


def _check(process: CandidateProcess, reference: Mapping[str, object]) -> str:
    """Returns why the `check` of the task rejects the function, or an empty text."""
    names: dict[str, object] = {}
    # Helpers that a test may use are defined in the prompt, above the function.
    exec(compile(f"{str(reference['prompt']).rstrip()}\n    pass\n", "prompt.py", "exec"), names)
    exec(compile(str(reference["test"]), "test.py", "exec"), names)
    function = getattr(Candidate(process), str(reference["entry_point"]))
    process.begin_input()
    try:
        cast(Callable[[object], object], names["check"])(function)
    except AssertionError as error:
        return f"a test fails: {error}"
    except (CandidateFailure, SandboxError):
        raise
    # The test receives values that it was not written for.
    except Exception as error:
        return f"a test raises {type(error).__name__}: {error}"
    return ""


def _identity(source: str) -> str:
    """Returns a digest that is the same for programs that differ only in layout and comments."""
    try:
        body = "".join(f"    {line}\n" for line in ast.unparse(ast.parse(source)).splitlines())
        return key(Function(body or "    pass\n"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return " ".join(source.split())
