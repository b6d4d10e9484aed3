"""The layout holds: imports go downward only, each outside library has one room, and importing funsearch is light.

Every import counts, also those inside functions and under `TYPE_CHECKING`.
"""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "funsearch"
LAYERS = (
    ("errors", "_version", "text"),
    ("core",),
    ("loading", "picture", "rest_em"),
    ("notebook",),
    ("samplers", "sandbox", "storage", "trainers", "tasks"),
    ("settings",),
    ("search",),
    ("training",),
    ("cluster",),
    ("web",),
    ("cli",),
    ("__init__", "testing"),
)
"""The rooms from the ground up. A room imports from lower layers only, never from its neighbours."""
OWNERS = {
    "ray": {"cluster"},
    "vllm": {"samplers"},
    "openai": {"samplers"},
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "trl": {"trainers"},
    "peft": {"trainers"},
    "click": {"cli"},
    "rich": {"cli"},
    "fastapi": {"web"},
    "uvicorn": {"web", "cli"},
    "pydantic": {"settings"},
}
"""The rooms that may import an outside library."""
NOT_IN_CORE = {*OWNERS, "torch", "os", "subprocess", "time", "socket", "logging"}
HEAVY = ("ray", "vllm", "torch", "sqlalchemy", "transformers", "openai", "pydantic", "matplotlib", "fastapi")
DATA = {"problems", "evaluators"}

FLOORS = {room: floor for floor, rooms in enumerate(LAYERS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    """Returns a file's module."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file) for file in FILES}


def imports(file: Path) -> set[str]:
    """Returns every module that a file names in an import, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES
            found |= inside or {node.module}
    return found


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def ids(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def test_every_room_has_a_layer() -> None:
    assert {room_of(name_of(file)) for file in FILES} == FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_imports_go_downward(file: Path) -> None:
    own = room_of(name_of(file))
    for module in sorted(imports(file)):
        other = room_of(module)
        if module.split(".")[0] != "funsearch" or other == own or other in DATA:
            continue
        assert FLOORS[other] < FLOORS[own], f"{own} imports {module}"


@pytest.mark.parametrize("file", FILES, ids=ids)
def test_outside_libraries_stay_in_their_rooms(file: Path) -> None:
    own = room_of(name_of(file))
    for library in {module.split(".")[0] for module in imports(file)} & OWNERS.keys():
        assert own in OWNERS[library] or own == "testing", f"{own} imports {library}"


@pytest.mark.parametrize("file", sorted((PACKAGE / "core").rglob("*.py")), ids=ids)
def test_core_has_no_input_output_and_no_clock(file: Path) -> None:
    assert not {module.split(".")[0] for module in imports(file)} & NOT_IN_CORE


def test_no_import_cycle() -> None:
    graph = {name_of(file): imports(file) & MODULES - {name_of(file)} for file in FILES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the cycle


@pytest.mark.parametrize("statement", ["import funsearch", "from funsearch.cli import group; group(['run', '--help'])"])
def test_importing_and_help_load_nothing_heavy(statement: str) -> None:
    statement = statement.replace("'])", "'], standalone_mode=False)")
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n")
