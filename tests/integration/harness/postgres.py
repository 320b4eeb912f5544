"""A Postgres of a test's own, which it may stop."""

import os
import shutil
import subprocess
from pathlib import Path


def tools() -> Path | None:
    """The folder of Postgres' programs, if it is installed."""
    found = shutil.which("initdb")
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).parent if found else installed[-1].parent if installed else None


class Postgres:
    """A database in `folder`, which the user `postgres` can reach."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        self.url = f"postgres://mosaico@localhost/postgres?host={folder}"
        # It refuses to run as root.
        self._user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._user:
            shutil.chown(folder, "postgres")
        self._run("initdb", "-D", str(folder / "data"), "-U", "mosaico", "--auth=trust", "--encoding=UTF8")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._user, str(self._programs / program), *arguments]
        done = subprocess.run(command, cwd=self.folder, stdout=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, f"{program} failed; log: {self.folder / 'log'}"

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        data, log = str(self.folder / "data"), str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Ends it at once; connections break."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
