from pathlib import Path

import pytest

from funsearch.errors import SamplerError, SamplerExhausted
from funsearch.samplers.scripted import ScriptedSampler


def texts(sampler: ScriptedSampler, request) -> list[str]:
    (completions,) = sampler.complete([request])
    return [completion.text for completion in completions]


def test_answers_depend_only_on_the_index_of_the_prompt(request_of) -> None:
    sampler = ScriptedSampler(["a", "b", "c", "d", "e"], samples_per_prompt=2)
    assert texts(sampler, request_of(1)) == ["c", "d"]
    assert texts(sampler, request_of(0)) == ["a", "b"]
    assert texts(sampler, request_of(1)) == ["c", "d"]


def test_last_prompt_may_get_fewer_answers_and_a_later_one_exhausts_the_sampler(request_of) -> None:
    sampler = ScriptedSampler(["a", "b", "c"], samples_per_prompt=2)
    assert texts(sampler, request_of(1)) == ["c"]
    with pytest.raises(SamplerExhausted, match="3 recorded answers"):
        sampler.complete([request_of(2)])


def test_file_holds_one_answer_per_line(tmp_path: Path, request_of) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"text": "a\\nb"}\n\n{"text": "c\u2028d", "more": 1}\n', encoding="utf-8")
    assert texts(ScriptedSampler.from_file(file, 2), request_of()) == ["a\nb", "c\u2028d"]


@pytest.mark.parametrize("line", ["return 1", '{"txt": "a"}', '{"text": 3}', "[]", "null"])
def test_invalid_line_is_named(line: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(SamplerError, match=r"answers\.jsonl:2: "):
        ScriptedSampler.from_file(file)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SamplerError, match=r"gone\.jsonl"):
        ScriptedSampler.from_file(tmp_path / "gone.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe9"}')
    with pytest.raises(SamplerError, match=r"latin\.jsonl"):
        ScriptedSampler.from_file(tmp_path / "latin.jsonl")
