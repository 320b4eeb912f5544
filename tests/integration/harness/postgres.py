"""A real Postgres owned by a test, which may stop it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "with_postgres"


def _tools() -> Path | None:
    found = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).resolve().parent if found else installed[-1].parent if installed else None


def require_postgres() -> Path:
    """The folder of Postgres' programs, which the script installs where it may.

    Without them tests are skipped, but not in CI.
    """
    if found := _tools():
        return found
    done = subprocess.run([SCRIPT, "true"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return _tools() or pytest.skip(done.stderr.strip())


class Postgres:
    """Runs until the end of the `with` block."""

    def __init__(self) -> None:
        self._programs = require_postgres()
        # pytest's own folders are closed to other users.
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        self.url = f"postgres://mosaico@localhost/postgres?host={self.folder}"
        # It refuses to run as root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(self.folder, "postgres")
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "mosaico", "--auth=trust", "--encoding=UTF8", "--locale=C")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"{program} failed; log: {self.folder / 'log'}"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def ask(self, schema: str, statement: str) -> list[str]:
        """The rows of an answer, as psql writes them."""
        command = [
            (self._programs / "initdb").resolve().with_name("psql"),
            self.url,
            "-At",
            "-c",
            f"SET search_path = {schema}",
            "-c",
            statement,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[1:]

    def hold(self, lock: str) -> subprocess.Popen[str]:
        """A session that has an advisory lock until it is killed."""
        psql = (self._programs / "initdb").resolve().with_name("psql")
        session = subprocess.Popen(
            [psql, "-At", self.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert session.stdin is not None
        assert session.stdout is not None
        session.stdin.write(f"SELECT pg_advisory_lock(hashtextextended('{lock}', 0)); SELECT 'held';\n")
        session.stdin.flush()
        assert "held" in [session.stdout.readline().strip() for _ in range(2)]
        return session

    def stop(self) -> None:
        """Ends it at once; connections break."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def __enter__(self) -> "Postgres":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder)
