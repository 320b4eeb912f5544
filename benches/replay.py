"""G7, G8: replaying small messages."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import _mcap
from _data import ImuRows
from _harness import Options, Row, alternate, short
from _ours import push, replay, replay_topic
from _services import clients

from mosaicolabs import IMU


def rows(options: Options) -> list[Row]:
    count = options.sized(100_000)
    data = ImuRows.make(count)
    with TemporaryDirectory(dir=options.folder) as folder, clients(options) as sides:
        file = Path(folder, "imu.mcap")
        _mcap.write(file, data.times, data.records())
        runs = {"mcap": partial(_mcap.read, file, count)}
        for side, client in sides.items():
            push(client, "one", IMU, data.messages())
            push(client, "many", IMU, data.messages(), topics=16)
            runs[f"{side} one"] = partial(replay_topic, client, "one", count)
            runs[f"{side} many"] = partial(replay, client, "many", count)
        seconds = alternate(runs, options)
    rate = {name: count / taken / 1000 for name, taken in seconds.items()}

    def row(goal: str, case: str, run: str, other: str, other_way: str, least: float) -> Row:
        return Row(
            goal=goal,
            case=case,
            size=f"{short(count)} IMU",
            unit="k msg/s",
            ours=rate[f"daemon {run}"],
            embedded=rate[f"embedded {run}"],
            other=rate[other],
            other_way=other_way,
            least_ratio=least,
        )

    return [
        row("G7", "replay 1 topic as messages", "one", "mcap", "mcap reader, raw bytes", 2.5),
        row("G8", "replay 16 topics merged", "many", "daemon one", "G7", 0.9),
    ]
