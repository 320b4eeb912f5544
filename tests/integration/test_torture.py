"""A short part of `make torture`: each attack for some seconds, with dice that differ from run to run."""

import importlib
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mosaicolabs import Integer64, MosaicoClient

TORTURE = Path(__file__).parents[1] / "torture"
SECONDS = 50
"""Of all attacks together, unless their starts alone take longer."""


@pytest.mark.attacks
@pytest.mark.timeout(480)  # The starts of its daemons take minutes where a compiler has the processors.
def test_no_attack_takes_an_acknowledged_row() -> None:
    seed = random.randrange(1 << 30)
    command = [sys.executable, TORTURE, "--seconds", str(SECONDS), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"seed {seed}:\n{done.stdout}\n{done.stderr}"
    assert "kill_daemon" in done.stderr, "they ran"


@pytest.fixture
def attack(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What attacks share."""
    monkeypatch.syspath_prepend(TORTURE)
    return importlib.import_module("attack")


def test_a_lost_row_is_found(tmp_path: Path, attack: ModuleType) -> None:
    with MosaicoClient.embedded(tmp_path / "store") as client:
        for name, values in (("whole", [0, 1, 2]), ("swapped", [0, 2, 1]), ("short", [0])):
            with client.sequence_create(name) as sequence:
                topic = sequence.topic_create("t", {}, Integer64)
                topic.push_columns({"data": values}, timestamp_ns=[0, 1, 2][: len(values)])
            (tmp_path / f"{name}.acknowledged").write_text("3")
        (tmp_path / "missing.acknowledged").write_text("3")
        lost = {}
        for name in ("whole", "swapped", "short", "missing"):
            result = attack.Result("", "")
            attack.compare(client, tmp_path, [name], result)
            assert result.compared == 3
            lost[name] = result.lost
    assert lost == {"whole": 0, "swapped": 2, "short": 2, "missing": 3}


def test_random_inputs_may_be_counted(attack: ModuleType) -> None:
    begun = attack.Budget(0).until()
    assert [attack.Budget(1000, 5).left(begun, done) for done in (0, 4, 5)] == [True, True, False]
    assert not attack.Budget(0).left(begun, 0)
