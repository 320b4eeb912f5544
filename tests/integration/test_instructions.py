"""The paths that every message takes cost no more instructions than they did.

A number that is exceeded is either a regression to be mended or a price to be paid: raise it with the change
that needs it, and say why. A number that is far too high hides the next regression: lower it.
"""

import pytest
from harness.valgrind import count_instructions

ROWS = 1000

# Instructions for each row of an IMU with six values, in the profile of `make test`, on CPython 3.11.
KNOWN = {"push": 8500, "push data and time": 9650, "append": 4820, "replay": 14170}
TOLERANCE = 0.1

SCRIPT = f"""
import itertools, operator, tempfile
from mosaicolabs import IMU, Message, MosaicoClient, Vector3d

def sample(row):
    force = Vector3d(x=0.1 * row, y=2.0, z=9.8)
    return IMU(acceleration=force, angular_velocity=Vector3d(x=0.1, y=0.2, z=0.3))

# What is pushed before the count learns the order of the fields and grows the columns.
samples = [sample(row) for row in range({ROWS})]
messages = [Message(timestamp_ns=row, data=sample(row)) for row in range({ROWS})]
columns = [f"{{vector}}.{{axis}}" for vector in ("acceleration", "angular_velocity") for axis in "xyz"]
rows = [(row, 0.1 * row, 2.0, 9.8, 0.1, 0.2, 0.3) for row in range({ROWS})]
with tempfile.TemporaryDirectory() as store, MosaicoClient.embedded(store) as client:
    with client.sequence_create("run", max_batch_age_s=1000.0) as sequence:
        topics = [sequence.topic_create(name, {{}}, IMU) for name in ("push", "data", "append")]
        topics[0].push(messages[0])
        any(map(topics[0].push, messages))
        topics[1].push(None, 0, None, samples[0])
        any(itertools.starmap(topics[1].push, [(None, row, None, data) for row, data in enumerate(samples)]))
        append = topics[2].appender(*columns)
        append(*rows[0])
        any(itertools.starmap(append, rows))
    streamer = client.topic_handler("run", "push").get_data_streamer()
    next(streamer)
    any(map(operator.not_, streamer))
"""


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    counts = count_instructions(tmp_path_factory.mktemp("callgrind"), SCRIPT)
    return {name: count / ROWS for name, count in zip(KNOWN, counts, strict=True)}


@pytest.mark.parametrize("path", KNOWN)
def test_a_message_costs_what_it_did(counted: dict[str, float], path: str) -> None:
    known = KNOWN[path]
    assert known * (1 - 2 * TOLERANCE) <= counted[path] <= known * (1 + TOLERANCE), f"{counted[path]:.0f}"
