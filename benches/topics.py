"""Creation and close of many topics: what a recording pays before its first and after its last message."""

from functools import partial
from time import perf_counter

from _data import ImuRows
from _harness import Options, Row, alternate
from _ours import new_name
from _services import clients

from mosaicolabs import IMU, Message, MosaicoClient

TOPICS = (1, 16, 64, 256, 1024)
# Goals in seconds at 64 topics.
CREATE_S, CLOSE_S = 0.1, 0.2


def rows(options: Options) -> list[Row]:
    messages = ImuRows.make(64).messages()
    counts = TOPICS[:3] if options.quick else TOPICS
    with clients(options) as sides:
        found = []
        for count in counts:
            taken: dict[str, tuple[float, float]] = {}
            for part, job in enumerate(("create", "close")):
                runs = {
                    side: partial(_record, client, messages, count, part) for side, client in sides.items()
                }
                seconds = alternate(runs, options)
                taken[job] = seconds["daemon"], seconds["embedded"]
            for job, goal_s in (("create", CREATE_S), ("close", CLOSE_S)):
                ours, embedded = taken[job]
                found.append(
                    Row(
                        goal="-" if count != 64 else "G3",
                        case=f"{job} {count} topic{'s' if count > 1 else ''}",
                        size="64 IMU each",
                        unit="ms",
                        ours=ours * 1000,
                        embedded=embedded * 1000,
                        other=goal_s * 1000 * count / 64,
                        other_way="the goal, per topic",
                        most=goal_s * 1000 if count == 64 else None,
                    )
                )
    return found


def _record(client: MosaicoClient, messages: list[Message], topics: int, part: int) -> float:
    """Seconds of one part of a recording: its creation, or its end."""
    begun = perf_counter()
    with client.sequence_create(new_name()) as sequence:
        writers = [sequence.topic_create(f"topic_{n}", {}, IMU) for n in range(topics)]
        created = perf_counter()
        for message in messages:
            for writer in writers:
                writer.push(message)
        for writer in writers:
            writer.flush()
        closing = perf_counter()
    return (created - begun, perf_counter() - closing)[part]
