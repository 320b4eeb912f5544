"""A Postgres that fails: its replica becomes the primary, and the address of the database moves to it."""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from attack import (
    Budget,
    Result,
    UnavailableError,
    compare_finished,
    faults_in_log,
    progress_of,
    wait_for_rows,
    writers,
)
from databases import PostgresServer
from harness.cluster import Cluster
from harness.minio import Minio, OwnMinio
from harness.postgres import Postgres
from harness.proxy import Proxy
from harness.service import MissingServiceError, find_unused_port

DAEMONS = 2
WRITERS = 4
BUCKET = "torture"
OPTIONS = ("--writer-timeout", "0", "--chunk-bytes", "200000", "--wal", "replicated")


@contextmanager
def own_minio(folder: Path, host: str = "127.0.0.1", wrap: Sequence[str] = ()) -> Iterator[Minio]:
    """A MinIO with a bucket."""
    try:
        with OwnMinio(folder, host, wrap) as minio:
            minio.make_bucket(BUCKET)
            yield minio
    except MissingServiceError as error:
        raise UnavailableError(str(error)) from error


def fail_over(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """The primary is killed, its replica promoted; then a new replica follows that one."""
    result, kills = Result("Postgres fails over to its replica", ""), 0
    with ExitStack() as running:
        minio = running.enter_context(own_minio(folder))
        primary, replica = (
            running.enter_context(closing(PostgresServer("127.0.0.1", find_unused_port()))) for _ in range(2)
        )
        primary.make_primary()
        replica.follow(primary)
        proxy = running.enter_context(Proxy(primary.port))
        database = Postgres(f"postgres://mosaico@127.0.0.1:{proxy.port}/postgres")
        cluster = running.enter_context(Cluster(folder, BUCKET, minio, database, DAEMONS, *OPTIONS))
        with writers(cluster.addresses(), folder, WRITERS, chance, timeout_s=120) as recordings:
            wait_for_rows(folder, recordings)
            until = budget.until()
            while time.monotonic() < until or not kills:
                time.sleep(chance.uniform(0, 2))
                primary.kill()
                kills += 1
                time.sleep(chance.uniform(0, 1))
                replica.promote()
                proxy.move(replica.port)
                wait_for_rows(folder, recordings, max(progress_of(folder, name) for name in recordings))
                primary, replica = replica, primary
                if time.monotonic() < until:
                    replica.follow(primary)
        with cluster.connect() as client:
            compare_finished(client, folder, recordings, result)
        for daemon in cluster:
            result.faults += faults_in_log(daemon)
    result.size = f"{kills:,} failovers, {DAEMONS} daemons, {WRITERS} writers"
    return result
