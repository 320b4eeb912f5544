"""The demo flight as a recording: generated second by second, identical in every pass."""

from collections.abc import Iterator
from itertools import repeat

import numpy as np

from mosaicolabs.ingest import Messages, Recording, TopicSpec, merge_in_time
from mosaicolabs.models import Message

from ._sensors import SENSORS, Sensor
from ._trajectory import motion_at

START_NS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
_NS_PER_S = 1_000_000_000


class Flight:
    """A flight of `seconds`. Nothing is stored: each pass generates the messages from the seed."""

    def __init__(self, seconds: int, seed: int = 0) -> None:
        if seconds < 1:
            raise ValueError(f"a flight of {seconds} s has no messages; give at least 1")
        self.seconds = seconds
        self._seed = seed

    def recording(self) -> Recording:
        """The flight as input of `ingest`."""
        specs = []
        for sensor in SENSORS:
            messages = sensor.rate_hz * self.seconds
            metadata = {**sensor.metadata, "rate_hz": sensor.rate_hz}
            specs.append(
                TopicSpec(sensor.topic, sensor.ontology, messages, messages * sensor.message_bytes, metadata)
            )
        return Recording(tuple(specs), self._merged, {"source_format": "demo", "seed": self._seed})

    def topics(self) -> dict[str, Iterator[Message]]:
        """A new pass, topic by topic."""
        return {sensor.topic: self._messages(index, sensor) for index, sensor in enumerate(SENSORS)}

    def _merged(self) -> Messages:
        return merge_in_time(zip(repeat(topic), messages) for topic, messages in self.topics().items())

    def _messages(self, index: int, sensor: Sensor) -> Iterator[Message]:
        period_ns = _NS_PER_S // sensor.rate_hz
        for second in range(self.seconds):
            rng = np.random.default_rng([self._seed, index, second])
            first = second * sensor.rate_hz
            times = np.arange(first, first + sensor.rate_hz)
            measured = sensor.measure(motion_at(times / sensor.rate_hz), rng)
            for number, data in enumerate(measured, start=first):
                yield Message(timestamp_ns=START_NS + number * period_ns, data=data)
