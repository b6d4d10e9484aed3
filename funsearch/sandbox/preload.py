"""What candidates may import: loaded into the worker beforehand, as a confined process may be unable to read it."""

import os
import sysconfig
from pathlib import Path

import numpy as np


def _names(text: str) -> list[str]:
    return text.split()


PRELOADED = _names("""
    abc array ast base64 bisect builtins cmath collections collections.abc contextlib copy ctypes dataclasses datetime
    decimal enum fractions functools gc graphlib hashlib heapq inspect io itertools json keyword linecache math numbers
    operator os pprint queue random re resource secrets signal statistics string struct sys textwrap threading time
    timeit token tokenize traceback types typing unicodedata uuid warnings weakref zlib _strptime encodings.ascii
    encodings.idna encodings.latin_1 encodings.utf_16 encodings.utf_32 encodings.utf_8_sig
    numpy numpy.fft numpy.lib numpy.lib.stride_tricks numpy.linalg numpy.polynomial numpy.random
""")
"""Available at every level. Harmless: what protects the machine is the kernel, not the absence of a module. Without
numpy.ma, whose weight would make every fork cost a third more; it is imported late where files can be read."""


def library_folders() -> list[str]:
    """Returns where the standard library lies."""
    return sorted({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__)})


def readable_paths() -> list[str]:
    """Returns what candidates may read beneath landlock, so that late imports work: the standard library and numpy.

    Not the folders of installed packages that may lie inside: evaluators, with what a candidate must not see, are
    installed there.
    """
    entries = (entry.path for folder in library_folders() for entry in _scan(folder))
    library = [path for path in entries if not path.endswith("-packages")]
    return [*library, str(Path(np.__file__).parent), "/dev/null", "/dev/urandom"]


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
