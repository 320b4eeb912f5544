"""A short part of `make torture`: each attack for some seconds, with dice that differ from run to run."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).parents[1] / "torture"
SECONDS = 4


@pytest.mark.alone
@pytest.mark.parametrize(
    "attack",
    [
        "kill_daemon",
        "kill_clients",
        "kill_maintenance",
        "pause_daemon",
        "flip_stored_bytes",
        "random_frames",
        "random_bodies",
    ],
)
def test_an_attack_takes_nothing(attack: str) -> None:
    seed = random.randrange(1 << 30)
    command = [sys.executable, TORTURE, "--seconds", str(SECONDS), "--seed", str(seed), "--only", attack]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout}\n{done.stderr}"
    assert attack in done.stderr, "it ran"
