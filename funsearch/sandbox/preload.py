"""The modules that candidates may import; loaded into the worker in advance, as it may not be able to read them."""

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
"""Available at every level. They are harmless: the kernel protects the machine, not the absence of a module. Large
modules are omitted, because each memory page makes every fork more expensive; numpy.ma is included because np.unique
imports it."""


def library_folders() -> list[str]:
    """Returns the folders of the standard library, including its compiled modules."""
    folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.dirname(os.__file__)}
    compiled = {os.path.join(folder, "lib-dynload") for folder in folders}
    return sorted(folders | set(filter(os.path.isdir, compiled)))


def readable_paths(modules: Sequence[str] = ()) -> list[str]:
    """Returns the paths that candidates may read under landlock, so that late imports work.

    They are the standard library, numpy and the packages of `modules`, but not the folders of installed packages inside
    the standard library: these contain evaluators, which candidates must not read.
    """
    entries = (entry.path for folder in library_folders() for entry in _scan(folder))
    library = [path for path in entries if not path.endswith("-packages")]
    granted = [_place(name) for name in ["numpy", *modules]]
    return [*library, *filter(None, granted), "/dev/null", "/dev/urandom"]


def _place(module: str) -> str:
    """Returns the folder or file of a module's package; empty if it was not loaded from a file."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    origin = spec.origin if spec else None
    if origin is None or not os.path.isfile(origin):
        return ""
    return os.path.dirname(origin) if os.path.basename(origin).startswith("__init__.") else origin


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
