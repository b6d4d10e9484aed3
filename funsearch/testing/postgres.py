"""A PostgreSQL server on this machine, in a folder of its own: for tests and benchmarks.

Knows nothing about what is stored in it.
"""

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

USER = "funsearch"
UNPRIVILEGED = ("postgres", "nobody")
"""Whom the server runs as when this process is root, which it refuses to serve."""


def postgres_programs() -> Path | None:
    """Returns the folder with the server's programs, None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found and shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


class PostgresServer:
    """Serves on a port of the loopback interface until it is closed; may be stopped and started again meanwhile."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        """Makes an empty database in `folder`, which may not exist yet, and serves it.

        Raises:
            RuntimeError: PostgreSQL is not installed or does not start.
        """
        programs = postgres_programs()
        if programs is None:
            raise RuntimeError("PostgreSQL is not installed: `apt install postgresql`, or put initdb on the PATH.")
        self._programs = programs
        self._data = folder / "data"
        self._log = folder / "log"
        self._user: int | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            user = next(pwd.getpwnam(name) for name in UNPRIVILEGED if _has_user(name))
            self._user = user.pw_uid
            os.chown(folder, user.pw_uid, user.pw_gid)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._folder = folder
        self._options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""} | (settings or {})
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    @property
    def url(self) -> str:
        """Returns the URL of the database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Starts the server, and returns when it takes connections."""
        options = " ".join(f"-c {name}={value or repr('')}" for name, value in self._options.items())
        self._control("start", "-w", "-l", str(self._log), "-o", f"-p {self.port} {options}")

    def stop(self) -> None:
        """Stops the server at once, as a crash would: every connection breaks."""
        self._control("stop", "-w", "-m", "immediate")

    def close(self) -> None:
        """Stops the server if it runs, and removes its data."""
        if (self._data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self._data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._data), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        # Into a file: the server would keep a pipe open for as long as it runs.
        said = self._folder / "said"
        with said.open("w") as out:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                check=False,
                user=self._user,
                group=self._user and pwd.getpwuid(self._user).pw_gid,
                extra_groups=[] if self._user else None,
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {said.read_text().strip()}")


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
