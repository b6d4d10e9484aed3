"""What candidates may import: loaded into the worker beforehand, as a confined process may be unable to read it."""

import importlib.util
import os
import sysconfig
from collections.abc import Sequence


def _names(text: str) -> list[str]:
    return text.split()


PRELOADED = _names("""
    abc array ast base64 bisect builtins cmath collections collections.abc contextlib copy ctypes dataclasses datetime
    decimal enum fractions functools gc graphlib hashlib heapq inspect io itertools json keyword linecache math numbers
    operator os pprint queue random re resource secrets signal statistics string struct sys textwrap threading time
    timeit token tokenize traceback types typing unicodedata uuid warnings weakref zlib _strptime encodings.ascii
    encodings.idna encodings.latin_1 encodings.utf_16 encodings.utf_32 encodings.utf_8_sig
    numpy numpy.fft numpy.lib numpy.lib.stride_tricks numpy.linalg numpy.ma numpy.polynomial numpy.random
""")
"""Available at every level. Harmless: what protects the machine is the kernel, not the absence of a module. Heavier
ones are left out: each page makes every fork cost more. numpy.ma is one, but np.unique imports it."""


def library_folders() -> list[str]:
    """Returns where the standard library lies, its compiled part too."""
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__)}
    compiled = {os.path.join(folder, "lib-dynload") for folder in folders}
    return sorted(folders | set(filter(os.path.isdir, compiled)))


def readable_paths(modules: Sequence[str] = ()) -> list[str]:
    """Returns what candidates may read beneath landlock, so that late imports work: the standard library, numpy, and
    the packages of `modules`.

    Not the folders of installed packages that may lie inside: evaluators, with what a candidate must not see, are
    installed there.
    """
    entries = (entry.path for folder in library_folders() for entry in _scan(folder))
    library = [path for path in entries if not path.endswith("-packages")]
    granted = [_place(name) for name in ["numpy", *modules]]
    return [*library, *filter(None, granted), "/dev/null", "/dev/urandom"]


def _place(module: str) -> str:
    """Returns where a module's package lies, nothing if that is no file."""
    found = importlib.util.find_spec(module.partition(".")[0])
    origin = found.origin if found else None
    if origin is None or not os.path.isfile(origin):
        return ""
    return os.path.dirname(origin) if os.path.basename(origin).startswith("__init__.") else origin


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
