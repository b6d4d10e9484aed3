"""Writes a picture that a problem drew.

Knows matplotlib's figures, but not what is on them: that is between a problem's `draw` and `Evaluator.draw`.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from funsearch.errors import PictureError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")


def check_file(file: Path) -> None:
    """Refuses a file that no picture can be written to.

    Raises:
        PictureError: its name has another ending, or there is no such folder.
    """
    if file.suffix.lower().removeprefix(".") not in FORMATS:
        raise PictureError(f"{file} is no name for a picture: end it in {' or '.join(f'.{kind}' for kind in FORMATS)}.")
    if not file.parent.is_dir():
        raise PictureError(f"Cannot write {file}: there is no folder {file.parent}.")


def save(figure: "Figure", file: Path) -> None:
    """Writes a picture to a file, in the format of its ending.

    Raises:
        PictureError: it cannot be written.
    """
    check_file(file)
    content = encoded(figure, file.suffix.lower().removeprefix("."))
    try:
        file.write_bytes(content)
    except OSError as error:
        raise PictureError(f"Cannot write {file}: {error.strerror}.") from None


def encoded(figure: "Figure", kind: str) -> bytes:
    """Returns a picture as PNG or SVG. Text in an SVG stays text, for whoever searches it or has it read aloud.

    There is no date and no random name in it, so that a file kept with a program changes only with the program.
    """
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "funsearch"}):
        figure.savefig(content, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return content.getvalue()
