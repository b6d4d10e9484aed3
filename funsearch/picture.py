"""Writes pictures of solutions, drawn by problems, to files.

Knows about matplotlib's figures, but not about their content, which a problem's `draw` creates for `Evaluator.draw`.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from funsearch.errors import PictureError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")


def check_file(file: Path) -> None:
    """Checks that a picture can be written to a file.

    Raises:
        PictureError: the file name has an unknown extension, or its folder does not exist.
    """
    if file.suffix.lower().removeprefix(".") not in FORMATS:
        extensions = " or ".join(f".{name}" for name in FORMATS)
        raise PictureError(f"Cannot write a picture to {file}: use a file name that ends in {extensions}.")
    if not file.parent.is_dir():
        raise PictureError(f"Cannot write {file}: the folder {file.parent} does not exist.")


def save(figure: "Figure", file: Path) -> None:
    """Writes a picture to a file, in the format of its extension.

    Raises:
        PictureError: the file cannot be written.
    """
    check_file(file)
    content = encoded(figure, file.suffix.lower().removeprefix("."))
    try:
        file.write_bytes(content)
    except OSError as error:
        raise PictureError(f"Cannot write {file}: {error.strerror}.") from None


def encoded(figure: "Figure", kind: str) -> bytes:
    """Returns a picture as PNG or SVG. Text in an SVG remains text, so that it is searchable and accessible.

    The result contains no date and no random names, so that equal pictures give equal files.
    """
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "funsearch"}):
        figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()
