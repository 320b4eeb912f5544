"""Postgres servers that listen on TCP and replicate to each other."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attack import UnavailableError
from harness import postgres
from harness.service import MissingServiceError

USER = "mosaico"
# What is committed outlives the process, not the machine.
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=100", "wal_level=replica", "hot_standby=on")


class PostgresServer:
    """A server with a folder of its own; use `make_primary` or `follow`, then `close`."""

    def __init__(self, host: str, port: int, wrap: Sequence[str] = ()) -> None:
        try:
            self._programs = postgres.find()
        except MissingServiceError as error:
            raise UnavailableError(str(error)) from error
        self.host, self.port = host, port
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._data = self.folder / "data"
        # Postgres refuses to run as root.
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._wrap = [*wrap, *user]
        if user:
            shutil.chown(self.folder, "postgres")

    @property
    def url(self) -> str:
        return f"postgres://{USER}@{self.host}:{self.port}/postgres"

    def _run(self, program: str, *arguments: object) -> None:
        command = [*self._wrap, str(self._programs / program), *map(str, arguments)]
        # A server that starts keeps the output of `pg_ctl` open.
        with (self.folder / "commands.log").open("a") as log:
            done = subprocess.run(command, cwd=self.folder, stdout=log, stderr=log, check=False)
        if done.returncode != 0:
            text = "".join(file.read_text() for file in self.folder.glob("*log"))
            raise RuntimeError(f"`{program}` failed with code {done.returncode}: {text[-2000:]}")

    def _start(self) -> None:
        settings = (f"listen_addresses={self.host}", f"port={self.port}", *SETTINGS)
        options = f"-k {self.folder} " + " ".join(f"-c {setting}" for setting in settings)
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self.folder / "log", "-o", options, "start")

    def make_primary(self, networks: str = "127.0.0.1/32") -> None:
        """Creates an empty database, open to these networks."""
        self._run("initdb", "-D", self._data, "-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C")
        with (self._data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all,replication all {networks} trust\n")
        self._start()

    def follow(self, primary: "PostgresServer") -> None:
        """Becomes a replica; each commit of the primary waits for it from now on."""
        shutil.rmtree(self._data, ignore_errors=True)
        source = ("-h", primary.host, "-p", primary.port, "-U", USER)
        self._run("pg_basebackup", *source, "-D", self._data, "-R", "-X", "stream", "-c", "fast")
        self._start()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")

    def promote(self) -> None:
        """Becomes the primary. Nobody follows it yet."""
        self._run("pg_ctl", "-D", self._data, "-w", "promote")
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.execute("SELECT pg_reload_conf()")

    def execute(self, statement: str) -> None:
        self._run("psql", "-h", self.host, "-p", self.port, "-U", USER, "-d", "postgres", "-c", statement)

    def kill(self) -> None:
        """Ends it at once, as a machine that fails."""
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def close(self) -> None:
        """Ends it if it runs, and removes its folder."""
        if (self._data / "postmaster.pid").exists():
            self.kill()
        shutil.rmtree(self.folder)
