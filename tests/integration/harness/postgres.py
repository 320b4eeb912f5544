"""A real Postgres, for the catalogs of tests."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from harness.service import MissingServiceError, run_installer

PACKAGE = "postgresql"
# What is committed outlives the process, not the machine.
OPTIONS = "-c fsync=off -c full_page_writes=off -c max_connections=200"


def find() -> Path:
    """The folder of Postgres' programs, if they are there."""
    found = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found and not installed:
        raise MissingServiceError(f"there is no Postgres; install the package {PACKAGE}")
    return Path(found).resolve().parent if found else installed[-1].parent


def install() -> None:
    """Installs the programs where they are missing and it may."""
    try:
        find()
    except MissingServiceError:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            raise
        print("installing Postgres", file=sys.stderr, flush=True)
        run_installer("apt-get", "update")
        install = ["apt-get", "install", "-y", "--no-install-recommends", PACKAGE]
        run_installer(*install, DEBIAN_FRONTEND="noninteractive")
        find()


class Postgres:
    """A Postgres that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    def running(cls) -> "Postgres | None":
        """The one that `tests/with_services` started."""
        url = os.environ.get("MOSAICO_TEST_POSTGRES")
        return cls(url) if url else None

    @property
    def socket(self) -> Path:
        """Where it accepts connections."""
        return Path(self.url.partition("?host=")[2]) / ".s.PGSQL.5432"

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs to find it with `running`."""
        return {"MOSAICO_TEST_POSTGRES": self.url}

    def ask(self, schema: str, statement: str) -> list[str]:
        """The rows of an answer, as psql writes them."""
        path = f"SET search_path = {schema}"
        command = [find() / "psql", self.url, "-At", "-c", path, "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()[1:]

    def hold(self, lock: str) -> subprocess.Popen[str]:
        """A session that has an advisory lock until it is killed."""
        session = subprocess.Popen(
            [find() / "psql", "-At", self.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert session.stdin is not None
        assert session.stdout is not None
        with ExitStack() as opened:
            opened.enter_context(session)
            opened.callback(session.kill)
            session.stdin.write(f"SELECT pg_advisory_lock(hashtextextended('{lock}', 0)); SELECT 'held';\n")
            session.stdin.flush()
            assert "held" in [session.stdout.readline().strip() for _ in range(2)]
            opened.pop_all()
        return session


class OwnPostgres(Postgres):
    """Runs until the end of the `with` block; may be stopped before."""

    def __init__(self) -> None:
        self._programs = find()
        # pytest's own folders are closed to other users, and the path of a socket is short.
        self.folder = Path(tempfile.mkdtemp(prefix="pg"))
        super().__init__(f"postgres://mosaico@localhost/postgres?host={self.folder}")
        # It refuses to run as root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            log = self.folder / "log"
            text = log.read_text() if log.exists() else ""
            raise RuntimeError(f"`{program}` failed with code {done.returncode}; log: {text}")

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' {OPTIONS}"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Ends it at once; connections break."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")

    def __enter__(self) -> "OwnPostgres":
        try:
            if self._user:
                shutil.chown(self.folder, "postgres")
            data = str(self.folder / "data")
            self._run("initdb", "-D", data, "-U", "mosaico", "--auth=trust", "--encoding=UTF8", "--locale=C")
            self.start()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder)
