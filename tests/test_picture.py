"""Writing pictures to files, and the files that are refused."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from funsearch.errors import PictureError
from funsearch.picture import encoded, save


def test_extension_determines_the_format_in_any_case(tmp_path: Path) -> None:
    save(Figure(), tmp_path / "a.PNG")
    save(Figure(), tmp_path / "a.Svg")
    assert (tmp_path / "a.PNG").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.Svg").read_bytes().startswith(b"<?xml")


def test_text_in_an_svg_remains_text() -> None:
    figure = Figure()
    figure.suptitle("sum < 3 & more")
    assert b"sum &lt; 3 &amp; more</text>" in encoded(figure, "svg")


@pytest.mark.parametrize("name", ["a.gif", "a", "png", "svg/a"])
def test_other_extensions_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"ends in \.png or \.svg"):
        save(Figure(), tmp_path / name)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"the folder .*missing does not exist"):
        save(Figure(), tmp_path / "missing" / "a.png")


def test_file_that_cannot_be_written_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(PictureError, match="Is a directory"):
        save(Figure(), tmp_path / "a.png")
