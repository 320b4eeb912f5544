"""Two daemons, MinIO and Postgres, each in a network namespace; links between them fail silently.

The attack itself runs on the router, as a process of its own, where it reaches all hosts.
"""

import argparse
import dataclasses
import json
import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

from attack import Budget, Result, UnavailableError, compare_finished, faults_in_log, wait_for_rows, writers
from databases import PostgresServer
from failover import BUCKET, own_minio
from harness.cluster import ClusterDaemon
from harness.postgres import Postgres
from network import NETWORKS, Network

from mosaicolabs import MosaicoClient

DAEMONS = ("one", "two")
HOSTS = (*DAEMONS, "minio", "postgres")
WRITERS = 4
OPTIONS = ("--writer-timeout", "0", "--chunk-bytes", "200000", "--wal", "replicated")
OPEN = ("--anonymous", "write", "--insecure")
"""The hosts trust each other."""
LINKS = (
    *((daemon, service) for daemon in DAEMONS for service in ("minio", "postgres")),
    DAEMONS,
)
POSTGRES_PORT = 5432
LONGEST_CUT_S = 12
UNAVAILABLE = 75
"""The exit code of an attack that is not possible here."""


def cut_hosts(folder: Path, budget: Budget, chance: random.Random) -> Result:
    """Random links are cut for some seconds: a daemon loses its bucket, its database, or the other daemon."""
    with Network(HOSTS) as network:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        attack = [sys.executable, __file__, str(folder), "--seconds", str(budget.seconds)]
        command = [*network.on_router, *attack, "--seed", str(chance.getrandbits(32))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if done.returncode == UNAVAILABLE:
        raise UnavailableError(done.stdout.strip())
    if done.returncode != 0:
        raise RuntimeError(f"the attack on the router ended with {done.returncode}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def _attack(network: Network, folder: Path, budget: Budget, chance: random.Random) -> Result:
    result, cuts = Result("links between hosts lose all packets", ""), 0
    with ExitStack() as running:
        minio = running.enter_context(own_minio(folder, network.address("minio"), network.inside("minio")))
        server = PostgresServer(network.address("postgres"), POSTGRES_PORT, network.inside("postgres"))
        running.enter_context(closing(server))
        server.make_primary(NETWORKS)
        database = Postgres(server.url)
        daemons = []
        for name in DAEMONS:
            options = (*OPTIONS, *OPEN, "--host", network.address(name))
            daemon = ClusterDaemon(
                folder / f"state-{name}", BUCKET, minio, database, *options, wrap=network.inside(name)
            )
            daemons.append(running.enter_context(daemon))
        addresses = [f"{daemon.host}:{daemon.port}" for daemon in daemons]
        running.callback(network.heal)
        with writers(addresses, folder, WRITERS, chance, timeout_s=120) as recordings:
            wait_for_rows(folder, recordings)
            until = budget.until()
            while time.monotonic() < until or not cuts:
                for link in chance.sample(LINKS, chance.choice((1, 1, 2))):
                    network.lose(*link)
                    cuts += 1
                time.sleep(chance.uniform(0, min(LONGEST_CUT_S, budget.seconds)))
                network.heal()
                time.sleep(chance.uniform(0, 2))
        with MosaicoClient.connect(addresses, 1) as client:
            compare_finished(client, folder, recordings, result)
        for daemon in daemons:
            result.faults += faults_in_log(daemon)
    result.size = f"{cuts:,} cuts, {len(DAEMONS)} daemons, {WRITERS} writers"
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    try:
        result = _attack(Network(HOSTS), given.folder, Budget(given.seconds), random.Random(given.seed))
    except UnavailableError as error:
        print(error)
        return UNAVAILABLE
    print(json.dumps(dataclasses.asdict(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
