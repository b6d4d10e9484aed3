"""`funsearch train`, `tasks` and `models` in processes of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_model

TINY = tiny_model.FOLDER
OPTIONS = ("--sampler", "transformers", "--model", TINY, "--samples-per-task", 4, "--set", "generate.max_tokens=5")
QUICK = ("--set", "measure.samples=2", "--set", "trainer.epochs=1", "--set", "trainer.rank=8")


def funsearch(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from funsearch.cli import main; main()", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ}, timeout=300)


def answer(*args: object, cwd: Path) -> Any:
    done = funsearch(*args, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refusal(*args: object, cwd: Path) -> str:
    done = funsearch(*args, cwd=cwd)
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    message = done.stderr.splitlines()[-1]
    assert message.startswith("Error: ")
    return message


@pytest.fixture
def sums(tmp_path: Path) -> Path:
    """A file of tasks, some of which the tiny model can solve."""
    lines = [{"prompt": f"{i:02d}+{i + 7:02d}=", "answer": f"{2 * i + 7:03d}"} for i in range(80)]
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_task_sets_are_listed(tmp_path: Path) -> None:
    assert {"code", "exact", "math", "reasoning", "run"} <= {info["name"] for info in answer("tasks", cwd=tmp_path)}


@pytest.mark.ray
def test_training_on_ray_from_start_to_named_policy(sums: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="the trainer is not installed: make setup")
    base = answer("train", sums.name, *OPTIONS, *QUICK, "--rounds", 0, cwd=tmp_path)
    assert (base["name"], base["best_round"], base["policy"]) == ("sums", 0, "sums@0")
    done = answer("train", sums.name, *OPTIONS, *QUICK, "--rounds", 1, cwd=tmp_path)
    assert done["rounds"][0] == base["rounds"][0], "the base model was measured again"
    expected = {"round", "samples", "correct", "selected", "heldout_pass1", "heldout_pass1_se", "train_pass1"}
    assert expected | {"transfer_pass1", "published"} <= done["rounds"][1].keys()
    assert done["rounds"][1]["samples"] == 4 * 40
    assert done["rounds"][1]["transfer_pass1"] is None
    models = answer("models", cwd=tmp_path)
    assert [(line["policy"], line["kind"]) for line in models] == [("sums@0", "base"), ("sums@1", "lora")]
    assert (Path(models[1]["folder"]) / "adapter_model.safetensors").is_file()

    for file, start in (("sums.md", b"# sums"), ("sums.png", b"\x89PNG"), ("sums.svg", b"<?xml")):
        assert funsearch("models", "sums", "-o", file, cwd=tmp_path).returncode == 0
        assert (tmp_path / file).read_bytes().startswith(start)
    assert "| 1 | 160 |" in (tmp_path / "sums.md").read_text()
    assert "no training called sum" in refusal("models", "sum", cwd=tmp_path)
    assert "Cannot write to sums.txt: use a file name that ends in .md" in refusal(
        "models", "sums", "-o", "sums.txt", cwd=tmp_path
    )

    message = refusal("train", sums.name, *OPTIONS, *QUICK, "--cutoff", 3, cwd=tmp_path)
    assert "started with selection.cutoff = 10, not 3" in message
    message = refusal("run", "cap_set", "--sampler", "vllm:policy:sums@7", cwd=tmp_path)
    assert "no policy sums@7: the training sums has sums@0, sums@1" in message
    assert "did you mean sums?" in refusal("run", "cap_set", "--sampler", "vllm:policy:sum", cwd=tmp_path)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("reasonin",), "did you mean reasoning"),
        (("run:absent",), "no run called absent"),
        (("missing.jsonl",), "Cannot read the tasks in missing.jsonl"),
        (("sums.jsonl", "--set", "trainer.rnk=4"), "did you mean trainer.rank"),
        (("sums.jsonl", "--set", "trainer.rank=7"), "trainer.rank"),
        (("sums.jsonl", "--model", "./nowhere"), "no model folder ./nowhere"),
        (("sums.jsonl", "--name", "a@b"), "choose a name without @ and /"),
        (("sums.jsonl", "--model", TINY, "--set", "prompt_format=chat"), "has no chat template"),
        (("sums.jsonl", "--model", TINY, "--set", "tasks.heldout=0"), "tasks.heldout = 0: must be at least 1"),
    ],
)
def test_error_is_one_line(args: tuple[object, ...], expected: str, sums: Path, tmp_path: Path) -> None:
    assert expected in refusal("train", *args, cwd=tmp_path)
