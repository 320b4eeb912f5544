"""Several daemons over one bucket and one database."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.daemon import BucketDaemon, run_mosaicod
from harness.minio import KEY, SECRET, Minio
from harness.postgres import Postgres
from mosaicolabs import MosaicoClient


def schema_of(bucket: str) -> str:
    """The schema of the database for a bucket."""
    return re.sub(r"[^a-z0-9]", "_", bucket)


class ClusterDaemon(BucketDaemon):
    """`mosaicod run --shared`; `folder` is its state folder."""

    def __init__(
        self,
        folder: Path,
        bucket: str,
        minio: Minio,
        postgres: Postgres,
        *arguments: str,
        wrap: Sequence[str] = (),
    ) -> None:
        super().__init__(folder, bucket, minio.port, (KEY, SECRET), host=minio.host, wrap=wrap)
        self.schema = schema_of(bucket)
        database = ["--database", postgres.url, "--database-schema", self.schema]
        self.settings = ["--state-dir", str(folder), *database]
        self._arguments = [*self.settings, "--shared", *arguments]

    def command(self, name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Runs a maintenance command with the settings of this daemon."""
        return run_mosaicod(name, *self.settings, *arguments, **self._environment)

    def refused(self) -> str:
        """What the daemon says that does not start."""
        ended = run_mosaicod("run", "--port", 0, *self._arguments, **self._environment)
        assert ended.returncode == 1, ended
        return ended.stderr


class Cluster:
    """Daemons that run until the end of the `with` block."""

    def __init__(
        self, folder: Path, bucket: str, minio: Minio, postgres: Postgres, count: int, *arguments: str
    ) -> None:
        self.daemons = [
            ClusterDaemon(folder / f"state-{number}", bucket, minio, postgres, *arguments)
            for number in range(count)
        ]
        self._database = (postgres, schema_of(bucket))
        self._running = ExitStack()

    def addresses(self, first: int = 0) -> list[str]:
        """Where all of them listen, beginning with one."""
        daemons = self.daemons[first:] + self.daemons[:first]
        return [f"{daemon.host}:{daemon.port}" for daemon in daemons]

    def leads(self) -> int | None:
        """Which one does the work for all, if one has taken it."""
        postgres, schema = self._database
        holders = postgres.ask(schema, "SELECT holder FROM lease WHERE name = 'background'")
        ids = [json.loads((daemon.folder / "owner.json").read_text())["id"] for daemon in self.daemons]
        return ids.index(holders[0]) if holders else None

    def connect(self, first: int = 0, **arguments: Any) -> MosaicoClient:
        """A client of all of them that begins with one."""
        return MosaicoClient.connect(self.addresses(first), 1, **arguments)

    def __getitem__(self, number: int) -> ClusterDaemon:
        return self.daemons[number]

    def __iter__(self) -> Iterator[ClusterDaemon]:
        return iter(self.daemons)

    def __enter__(self) -> "Cluster":
        with ExitStack() as started:
            for daemon in self.daemons:
                started.enter_context(daemon)
            self._running = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
