"""A PostgreSQL server on this machine with its data in a given folder, for tests and benchmarks.

Knows nothing about the data stored in it.
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
"""Users to run the server as if this process is root: PostgreSQL refuses to run as root."""


def postgres_programs() -> Path | None:
    """Returns the folder with the server's programs; None if PostgreSQL is not installed."""
    initdb = shutil.which("initdb")
    if initdb and shutil.which("pg_ctl"):
        return Path(initdb).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


class PostgresServer:
    """Serves on a port of the loopback interface until it is closed; can be stopped and started again before that."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None) -> None:
        """Creates an empty database and serves it.

        Args:
            folder: for the database; created if it does not exist.
            settings: of the server, by name.

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
        """The URL of the database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Starts the server; returns when it accepts connections."""
        options = " ".join(f"-c {name}={value or repr('')}" for name, value in self._options.items())
        self._control("start", "-w", "-l", str(self._log), "-o", f"-p {self.port} {options}")

    def stop(self) -> None:
        """Stops the server immediately, as a crash would: all connections break."""
        self._control("stop", "-w", "-m", "immediate")

    def close(self) -> None:
        """Stops the server if it is running, and removes its data."""
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
        # The output goes to a file, since the server would keep a pipe open while it runs.
        output = self._folder / "output"
        with output.open("w") as out:
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
            raise RuntimeError(f"{program} failed: {output.read_text().strip()}")


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
