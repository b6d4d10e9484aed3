"""The documents are correct: their commands and Python blocks run, and their links lead to files."""

import ast
import json
import linecache
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import funsearch
from funsearch.cli import group
from funsearch.loading import shipped

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def python_blocks(document: Path, runnable: bool = False) -> list[str]:
    """Returns the Python blocks of a document, only those to run if asked for."""
    info = "" if runnable else "(?: no-run)?"
    return re.findall(rf"^```python{info}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.ray
def test_commands_of_the_tutorial_run(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "tutorial.md").read_text()
    blocks = re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    commands = [line for block in blocks for line in block.splitlines()]
    assert len(commands) >= 10
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in commands:
        arguments = ["bash", "-c", command]
        process = subprocess.run(arguments, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
        assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"


@pytest.mark.ray
def test_steps_of_the_how_to_lead_to_a_search(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "howto-problem.md").read_text()
    commands = re.findall(r"^   (funsearch .*)$", text, re.MULTILINE)
    files = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(re.findall(r"^\d\. ", text, re.MULTILINE)) == 7 > len(commands) >= 5
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    (tmp_path / "answers.jsonl").write_text('{"text": "    return 0.0"}\n')
    scripted = " --sampler scripted:answers.jsonl"
    for command in commands:
        command = command.replace(" --minutes 5", scripted).replace("PROGRAM", "1")
        process = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert process.returncode == 0, f"{command}\n{process.stdout}\n{process.stderr}"
        if command.startswith("funsearch init"):
            for folder, file in zip(("problems", "evaluators"), files, strict=True):
                (tmp_path / folder / "progression_free.py").write_text(file)
        if command.startswith("funsearch check"):
            assert "n100: 16\n  n200: 32" in process.stdout
    assert (tmp_path / "best.svg").is_file()


@pytest.mark.parametrize("name", [info.name for info in shipped()])
def test_every_problem_has_a_page_with_a_small_picture(name: str) -> None:
    page = (ROOT / "docs" / "problems" / f"{name}.md").read_text()
    ((picture, ending),) = re.findall(r"!\[[^]]+\]\((\w+\.(png|svg))\)", page)
    assert (ROOT / "docs" / "problems" / picture).stat().st_size < 60_000
    assert f"funsearch check {name} --image docs/problems/{name}.{ending}" in page
    assert f"(problems/{name}.md)" in (ROOT / "docs" / "problems.md").read_text()


SLOW = {"admissible_set_full"}
"""Its first program takes seconds; `tests/problems` tests its score."""


@pytest.mark.parametrize("name", sorted({info.name for info in shipped()} - SLOW))
def test_commands_of_a_problems_page_give_its_scores(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "problems" / f"{name}.md").read_text()
    ((_, *command),) = [line.split() for line in page.splitlines() if line.startswith("funsearch check")]
    (tmp_path / "docs" / "problems").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    group([*command, "--baselines", "--json"], standalone_mode=False)
    assert len(list((tmp_path / "docs" / "problems").iterdir())) == 1
    for program, row in json.loads(capsys.readouterr().out)["baselines"].items():
        (cells,) = re.findall(rf"^\| {re.escape(program)} \| (.*) \|$", page, re.MULTILINE)
        assert [float(cell) for cell in cells.split("|")] == pytest.approx(
            [*row["scores"].values(), *row["heldout"].values()], rel=1e-3, abs=6e-3
        )


@pytest.mark.parametrize("document", ["README.md", "docs/python.md", "docs/samplers.md"])
def test_python_blocks_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks run in order in one namespace; those fenced as ```python no-run need a model or an endpoint."""
    pytest.importorskip("pandas", reason="pandas is not installed: make setup")
    monkeypatch.chdir(tmp_path)
    blocks = python_blocks(ROOT / document, runnable=True)
    assert blocks
    namespace = {"__name__": "__main__"}
    for number, text in enumerate(blocks):
        name = f"<{document}, block {number}>"
        # Classes read their own source, as from a notebook's cell.
        monkeypatch.setitem(linecache.cache, name, (len(text), None, text.splitlines(keepends=True), name))
        exec(compile(text, name, "exec"), namespace)


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_python_blocks_use_public_names_only(document: Path) -> None:
    for text in python_blocks(document):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
                assert not (module or "").startswith("funsearch."), ast.unparse(node)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "funsearch":
                assert node.attr in funsearch.__all__, ast.unparse(node)


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", document.read_text()):
        path = document.parent / target if target else document
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in headings(path), f"{target}#{anchor}"


def headings(document: Path) -> set[str]:
    """Returns the anchors of a document's headings, as GitHub forms them."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
