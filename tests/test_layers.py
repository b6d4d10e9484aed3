"""Imports go downward only, and importing funsearch is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "funsearch"
FLOORS = {"errors": 0, "_version": 0, "core": 1, "loading": 2, "picture": 2, "rest_em": 2}
FLOORS |= {"samplers": 3, "sandbox": 3, "storage": 3, "trainers": 3, "testing": 3, "runtime": 4, "web": 4, "cli": 5}
ADAPTERS = {"samplers", "sandbox", "storage", "trainers"}
OUTSIDE_CORE = {
    "ray",
    "vllm",
    "torch",
    "sqlalchemy",
    "alembic",
    "openai",
    "pydantic",
    "click",
    "rich",
    "os",
    "subprocess",
    "time",
}
HEAVY = ("ray", "vllm", "torch", "sqlalchemy", "transformers", "openai", "pydantic", "matplotlib", "fastapi")


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "funsearch" and len(parts) > 1 else None


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem in FLOORS)


@pytest.mark.parametrize("file", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_downward(file: Path) -> None:
    own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in {room(module) for module in imports(file)} - {None, own, "problems", "evaluators"}:
        assert FLOORS[other] <= FLOORS[own], f"{own} imports {other}"
        assert own == "testing" or not {own, other} <= ADAPTERS, f"{own} imports its neighbour {other}"


@pytest.mark.parametrize("file", sorted((PACKAGE / "core").glob("*.py")), ids=lambda p: p.name)
def test_core_knows_no_outside(file: Path) -> None:
    assert not {module.split(".")[0] for module in imports(file)} & OUTSIDE_CORE


def test_importing_funsearch_loads_nothing_heavy() -> None:
    code = f"import sys, funsearch; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from funsearch.cli import group; group(['run', '--help'], standalone_mode=False); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.endswith("[]\n")
