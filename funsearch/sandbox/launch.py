"""Starts the confined worker on the socket that is its standard input; the first line contains its settings as JSON.

Run as a script by the engine. The worker's modules are imported from an empty substitute for the package, so that no
other part of funsearch is loaded into the process that candidates are forked from.
"""

import json
import os
import socket
import sys
import types


def main() -> None:
    """Reads the settings and runs the worker."""
    # The hooks that modules run after a fork exist for threads, of which there are none here. They would cost each
    # child more than the rest of its start, and would seed `random` randomly.
    os.register_at_fork = lambda **hooks: None
    control = socket.socket(fileno=0)
    line = bytearray()
    while not line.endswith(b"\n"):
        part = control.recv(65536)
        if not part:
            sys.exit("the engine has gone")
        line += part
    settings = json.loads(line)
    sys.path[:] = settings["path"]
    here = os.path.dirname(os.path.abspath(__file__))
    for name, folders in (("funsearch", []), ("funsearch.sandbox", [here])):
        package = sys.modules[name] = types.ModuleType(name)
        package.__path__ = folders

    from funsearch.sandbox import worker

    worker.work(control, worker.Settings(**settings))


if __name__ == "__main__":
    main()
