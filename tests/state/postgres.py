"""A real PostgreSQL server from Debian's packages: started by the tests, on a Unix socket only, gone with the run."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg

OWNERS = ("postgres", "nobody")
"""PostgreSQL does not run as root; the first of these that exists runs it then."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # nothing here outlives the run
    "max_connections": "60",
    "shared_buffers": "16MB",
    "autovacuum": "off",
    "timezone": "UTC",
}


def binaries() -> Path | None:
    """Where `initdb` and `postgres` are; Debian keeps them off the PATH. None if they are not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].partition(".")[0]))
    anywhere = shutil.which("initdb")
    initdb = found[-1] if found else Path(anywhere).resolve() if anywhere else None
    return initdb.parent if initdb and (initdb.parent / "postgres").exists() else None


def missing() -> str | None:
    """Why no server can be started here, as a sentence; None if one can."""
    if sys.platform != "linux" or shutil.which("setpriv") is None:
        return "a PostgreSQL server is started on Linux only, with util-linux"
    if binaries() is None:
        return "PostgreSQL is not installed: `make system` installs it on Debian"
    if os.geteuid() == 0 and _owner() is None:
        return f"PostgreSQL does not run as root, and there is no user {' or '.join(OWNERS)}"
    return None


def _owner() -> pwd.struct_passwd | None:
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((names[name] for name in OWNERS if name in names), None)


class Server:
    """Use it as a context manager; then `database()` makes one empty database after another and gives its URL."""

    def __init__(self) -> None:
        # Not under pytest's own folder: that is closed to everybody but root, and root may not run the server.
        self.folder = Path(tempfile.mkdtemp(prefix="fleet-postgres-"))
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        try:
            self._initialise()
            self.start()
            self.execute("create role fleet login")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """End it at once, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def start(self) -> None:
        """Start it, again if it was stopped; returns when it answers."""
        tools = binaries()
        assert tools is not None
        options = [f"-c{name}={value}" for name, value in SETTINGS.items()]
        # The kernel ends it with its parent: a killed test run leaves no server behind.
        command = [
            *self._as_owner("--pdeathsig=INT"),
            tools / "postgres",
            "-D",
            self.folder / "data",
            "-k",
            self.folder,
            *options,
        ]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        self._await()

    def database(self, owner: str = "fleet") -> str:
        """The URL of a new, empty database."""
        name = f"fleet{next(self._numbers)}"
        self.execute(f"create database {name} owner {owner} template template0")
        return self.url(name, owner)

    def url(self, name: str, user: str = "fleet") -> str:
        """Of a database of this server."""
        return f"postgresql://{user}@/{name}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """As the administrator; the rows, if any."""
        with psycopg.connect(host=str(self.folder), user="admin", dbname=database, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _initialise(self) -> None:
        tools = binaries()
        assert tools is not None
        self._own(self.folder)
        arguments = [
            "--auth=trust",
            "--username=admin",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "-D",
            self.folder / "data",
        ]
        subprocess.run([*self._as_owner(), tools / "initdb", *arguments], check=True, capture_output=True, cwd=self.folder)

    def _as_owner(self, *options: str) -> list[str]:
        owner = _owner() if os.geteuid() == 0 else None
        become = [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"] if owner else []
        return ["setpriv", *become, *options, "--"] if become or options else []

    def _own(self, folder: Path) -> None:
        owner = _owner() if os.geteuid() == 0 else None
        if owner:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        folder.chmod(0o755)

    def _await(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.execute("select 1")
            except psycopg.OperationalError:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise AssertionError((self.folder / "log").read_text(errors="replace")) from None
                time.sleep(0.02)
            else:
                return
