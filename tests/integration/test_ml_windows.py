"""`WindowDataset`: values against those that were recorded, in one process and in several."""

import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
from harness.daemon import Daemon
from harness.video import encoded

from mosaicolabs import (
    CompressedImage,
    Floating64,
    Image,
    ImageFormat,
    Message,
    MosaicoClient,
    QuerySequence,
    RobotJoint,
    String,
)
from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.ml import Signal, WindowDataset

SECOND = 10**9
MS = 10**6


def record(client: MosaicoClient, name: str, seconds: int = 10, start: int = 0) -> None:
    """Speed at 10 Hz, which is ten times the time in s; joints at 4 Hz from 1 s on; pictures at 2 Hz."""
    with client.sequence_create(name) as sequence:
        speed = sequence.topic_create("speed", {}, Floating64)
        arm = sequence.topic_create("arm", {}, RobotJoint)
        camera = sequence.topic_create("camera", {}, Image)
        for step in range(seconds * 10 + 1):
            time_ns = start + step * 100 * MS
            speed.push(Message(timestamp_ns=time_ns, data=Floating64(data=float(step))))
        for step in range(4, seconds * 4 + 1):
            angles = [step / 4, -step / 4]
            joint = RobotJoint(names=["a", "b"], positions=angles, velocities=[], efforts=[])
            arm.push(Message(timestamp_ns=start + step * 250 * MS, data=joint))
        for step in range(seconds * 2 + 1):
            pixels = np.full((4, 6), step, np.uint8)
            camera.push(Message(timestamp_ns=start + step * 500 * MS, data=Image.from_numpy(pixels, "mono8")))


SIGNALS = {
    "speed": Signal("speed", ["data"], offsets_s=(-0.25, 0.0, 0.05), align="linear"),
    "held": Signal("/speed", ["data"], offsets_s=(-0.25, 0.0, 0.05)),
    "arm": Signal("/arm", ["positions"], align="nearest", dtype=np.float64),
    "camera": Signal("/camera", image=(2, 3), offsets_s=(-0.5, 0.0)),
}


def test_samples_on_a_grid(client: MosaicoClient) -> None:
    record(client, "a")
    dataset = WindowDataset(client, ["a"], SIGNALS, step_s=0.5)

    # From the first message of the arm, at 1 s, to the last ones, at 10 s.
    assert len(dataset) == 19
    sample = dataset[3]
    assert (sample["sequence"], sample["timestamp_ns"], sample["index"]) == ("a", 2500 * MS, 3)
    assert sample["speed"].dtype == np.float32
    assert sample["speed"].tolist() == [[22.5], [25.0], [25.5]]
    assert sample["held"].tolist() == [[22.0], [25.0], [25.0]]
    assert sample["arm"].tolist() == [[2.5, -2.5]]
    assert sample["camera"].shape == (2, 2, 3, 3)
    assert sample["camera"][:, 0, 0, 0].tolist() == [4, 5]
    for name in SIGNALS:
        assert sample[f"{name}_valid"].all()
        assert not sample[f"{name}_is_pad"].any()
    last = dataset[-1]
    assert last["timestamp_ns"] == 10 * SECOND
    assert last["speed"][:, 0].tolist() == [97.5, 100.0, 0.0]
    assert last["speed_valid"].tolist() == [True, True, False]
    assert last["speed_is_pad"].tolist() == [False, False, True]
    assert last["held"][:, 0].tolist() == [97.0, 100.0, 100.0]
    with pytest.raises(IndexError, match="sample 19 of 19"):
        dataset[19]


def test_without_padding_no_window_reaches_beyond(client: MosaicoClient) -> None:
    record(client, "a")
    signals = {"speed": Signal("/speed", ["data"], offsets_s=(-1.0, 0.0, 0.5))}

    dataset = WindowDataset(client, ["a"], signals, step_s=0.1, padding=False)

    assert dataset[0]["timestamp_ns"] == SECOND
    assert dataset[-1]["timestamp_ns"] == 9500 * MS
    assert not any(dataset[number]["speed_is_pad"].any() for number in range(len(dataset)))


def test_samples_at_messages(client: MosaicoClient) -> None:
    record(client, "a")
    signals = {"speed": Signal("/speed", ["data"])}

    dataset = WindowDataset(client, ["a"], signals, at="camera", stride=3)

    assert [dataset[number]["timestamp_ns"] for number in range(len(dataset))] == [
        number * 1500 * MS for number in range(7)
    ]


def test_age_latency_and_missing_values(client: MosaicoClient) -> None:
    with client.sequence_create("gaps") as sequence:
        topic = sequence.topic_create("v", {}, Floating64)
        for second in (0, 1, 2, 30, 31):
            topic.push(Message(timestamp_ns=second * SECOND, data=Floating64(data=float(second))))
    signals = {
        "any": Signal("v", ["data"]),
        "fresh": Signal("v", ["data"], max_age_s=5.0),
        "between": Signal("v", ["data"], align="linear", max_age_s=20.0),
        "late": Signal("v", ["data"], latency_s=1.0),
    }
    dataset = WindowDataset(client, ["gaps"], signals, step_s=1.0)

    ten = dataset[10]
    assert (ten["any"].item(), ten["any_valid"].item()) == (2.0, True)
    assert (ten["fresh"].item(), ten["fresh_valid"].item()) == (0.0, False)
    assert (ten["between"].item(), ten["between_valid"].item()) == (10.0, True)
    assert dataset[22]["between_valid"].item() is True
    assert dataset[23]["between_valid"].item() is False
    # The message that is stamped 1 s is about 0 s.
    assert [dataset[number]["late"].item() for number in range(3)] == [1.0, 2.0, 2.0]
    assert len(dataset) == 31


def test_several_sequences(client: MosaicoClient) -> None:
    for number in range(3):
        record(client, f"run-{number}", seconds=3 + number, start=number * SECOND)
    with client.sequence_create("other") as sequence:
        sequence.topic_create("note", {}, String).push(Message(timestamp_ns=0, data=String(data="x")))
    signals = {"speed": Signal("/speed", ["data"])}

    by_query = WindowDataset(client, client.query(QuerySequence().with_name_match("")), signals, step_s=1.0)
    by_name = WindowDataset(client, ["run-2", "run-0"], signals, step_s=1.0)

    assert len(by_query) == 4 + 5 + 6
    assert by_query.skipped == {"other": "it has no topic /speed"}
    names = [by_name[number]["sequence"] for number in range(len(by_name))]
    assert names == ["run-2"] * 6 + ["run-0"] * 4
    batch = by_name.__getitems__([9, 0, 1, 5, 6, 9])
    assert [sample["index"] for sample in batch] == [9, 0, 1, 5, 6, 9]
    assert [sample["speed"].item() for sample in batch] == [30.0, 0.0, 10.0, 50.0, 0.0, 30.0]


def test_runs_equal_single_samples(client: MosaicoClient) -> None:
    record(client, "a")
    dataset = WindowDataset(client, ["a"], SIGNALS, step_s=0.3)

    single = [dataset[number] for number in range(len(dataset))]
    for together, alone in zip(dataset.run(0, len(dataset)), single, strict=True):
        assert together.keys() == alone.keys()
        for key, value in alone.items():
            np.testing.assert_array_equal(together[key], value, err_msg=key)


def test_pictures(client: MosaicoClient) -> None:
    depth = np.array([[1.5, np.nan], [2.5, 3.5]], np.float32)
    with client.sequence_create("p") as sequence:
        image = sequence.topic_create("depth", {}, Image)
        image.push(Message(timestamp_ns=0, data=Image.from_numpy(depth, "32FC1")))
        jpeg = sequence.topic_create("jpeg", {}, CompressedImage)
        shown = CompressedImage.from_image(PIL.Image.new("RGB", (8, 6), (250, 0, 0)), ImageFormat.JPEG)
        jpeg.push(Message(timestamp_ns=0, data=shown))
        note = sequence.topic_create("note", {}, String)
        note.push(Message(timestamp_ns=0, data=String(data="x")))

    def first(topic: str, **settings: Any) -> Any:
        return WindowDataset(client, ["p"], {"x": Signal(topic, image=True, **settings)}, step_s=1.0)[0]["x"]

    np.testing.assert_array_equal(first("depth"), depth[None, :, :, None])
    assert first("jpeg").shape == (1, 6, 8, 3)
    assert first("jpeg")[0, 0, 0, 0] > 240
    with pytest.raises(InvalidInputError, match="note at 0 ns is a string, no picture"):
        first("note")


@pytest.mark.parametrize("format", [ImageFormat.H264, ImageFormat.HEVC])
def test_frames_of_video_are_exact(client: MosaicoClient, format: ImageFormat) -> None:
    packets = encoded(format, [8 * number for number in range(30)])
    with client.sequence_create("v") as sequence:
        topic = sequence.topic_create("camera", {}, CompressedImage)
        for number, packet in enumerate(packets):
            # Key frames are 4.2 s apart, more than the first search reaches.
            topic.push(Message(timestamp_ns=number * 600 * MS, data=packet))
    signals = {
        "x": Signal("camera", image=True, offsets_s=(-0.6, 0.0)),
        "one": Signal("camera", image=(6, 8)),
    }
    dataset = WindowDataset(client, ["v"], signals, at="camera")

    for number in (0, 1, 6, 7, 13, 20, 29):
        sample = dataset[number]
        assert sample["x"].shape == (2, 48, 64, 3)
        assert abs(sample["x"][1].mean() - 8 * number) < 3, number
        assert sample["one"].shape == (1, 6, 8, 3)
        if number:
            assert abs(sample["x"][0].mean() - 8 * (number - 1)) < 3, number
    for together, number in zip(dataset.run(5, 12), range(5, 12), strict=True):
        np.testing.assert_array_equal(together["x"], dataset[number]["x"])


def test_video_that_cannot_be_decoded(client: MosaicoClient) -> None:
    streams = {
        "cut": encoded(ImageFormat.H264, [0, 10, 20, 30])[1:],
        "reordered": encoded(ImageFormat.H264, [0, 10, 20, 30, 40, 50], b_frames=2),
    }
    with client.sequence_create("v") as sequence:
        for name, packets in streams.items():
            topic = sequence.topic_create(name, {}, CompressedImage)
            for number, packet in enumerate(packets):
                topic.push(Message(timestamp_ns=number, data=packet))

    def read(name: str) -> None:
        WindowDataset(client, ["v"], {"x": Signal(name, image=True)}, at=name)[1]

    with pytest.raises(InvalidInputError, match="/cut has no key frame before 1 ns; choose later samples"):
        read("cut")
    with pytest.raises(InvalidInputError, match=r"/reordered at 1 ns gives no frame: .*\(B-frames\)"):
        read("reordered")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({}, "give either step_s, or the topic"),
        ({"step_s": 1.0, "at": "x"}, "give either step_s, or the topic"),
        ({"step_s": 0.0}, "step_s is a time above zero, not 0.0"),
        ({"at": "speed", "stride": 0}, "stride is at least 1, not 0"),
        ({"step_s": 1.0, "sequences": "a"}, "sequences is a list of names, not 'a'"),
        ({"step_s": 1.0, "sequences": ["b"]}, "no sequence 'b'"),
        ({"step_s": 1.0, "sequences": []}, "no samples: no sequences are given"),
        ({"step_s": 1.0, "signals": {}}, "give at least one signal"),
        ({"step_s": 1.0, "signals": {"v": Signal("x", ["data"])}}, "no samples: a: it has no topic /x"),
        (
            {"step_s": 1.0, "signals": {n: Signal("speed", ["data"]) for n in ("v", "v_valid", "index")}},
            "several values named index, v_valid",
        ),
    ],
)
def test_refused(client: MosaicoClient, arguments: dict[str, Any], problem: str) -> None:
    record(client, "a", seconds=2)
    given = {"sequences": ["a"], "signals": {"v": Signal("speed", ["data"])}, **arguments}
    with pytest.raises(InvalidInputError, match=problem):
        WindowDataset(client, **given)


# -- streams -------------------------------------------------------------------------------------


@pytest.fixture
def runs(client: MosaicoClient) -> WindowDataset:
    for number in range(3):
        record(client, f"run-{number}", seconds=4 + number)
    names = [f"run-{number}" for number in range(3)]
    return WindowDataset(client, names, {"v": Signal("speed", ["data"])}, step_s=0.1)


def indices(stream: Any) -> list[int]:
    return [sample["index"] for sample in stream]


def test_order_is_random_complete_and_repeatable(runs: WindowDataset) -> None:
    first = indices(runs.stream(seed=3, block=7, buffer_blocks=2))

    assert sorted(first) == list(range(len(runs)))
    assert first == indices(runs.stream(seed=3, block=7, buffer_blocks=2))
    assert first != indices(runs.stream(seed=4, block=7, buffer_blocks=2))
    assert sum(b == a + 1 for a, b in pairwise(first)) < len(first) / 4
    assert indices(runs.stream(shuffle=False)) == list(range(len(runs)))
    stream = runs.stream(seed=3, block=7, buffer_blocks=2)
    assert indices(stream) != indices(stream)  # of two epochs
    stream.set_epoch(0)
    assert indices(stream) == first
    for sample in runs.stream(block=5):
        assert sample["v"].item() == round(sample["timestamp_ns"] / 1e8)


@pytest.mark.parametrize("even", [False, True])
def test_ranks_share_the_samples(runs: WindowDataset, even: bool) -> None:
    shares = [indices(runs.stream(block=8, rank=rank, world_size=4, even=even)) for rank in range(4)]

    together = [number for share in shares for number in share]
    assert len(set(together)) == len(together)
    if even:
        assert len({len(share) for share in shares}) == 1
        assert len(runs.stream(block=8, rank=1, world_size=4, even=True)) == len(shares[1])
    else:
        assert sorted(together) == list(range(len(runs)))


@pytest.mark.parametrize("at", [0, 1, 13, 14, 15, 50, 151])
def test_state_continues_exactly(runs: WindowDataset, at: int) -> None:
    whole = runs.stream(seed=5, block=7, buffer_blocks=2)
    everything = indices(whole) + indices(whole)
    stream = runs.stream(seed=5, block=7, buffer_blocks=2)
    seen: list[int] = []
    iterator = iter(stream)
    seen = [next(iterator)["index"] for _ in range(at)]
    state = pickle.loads(pickle.dumps(stream.state_dict()))
    iterator.close()  # type: ignore[attr-defined]

    other = runs.stream(seed=5, block=7, buffer_blocks=2)
    other.load_state_dict(state)

    assert seen + indices(other) + indices(other) == everything
    with pytest.raises(InvalidInputError, match="the state is of a stream with"):
        runs.stream(seed=6, block=7, buffer_blocks=2).load_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"block": 0}, "block is at least 1, not 0"),
        ({"rank": 2, "world_size": 2}, "rank is between 0 and 1, not 2"),
    ],
)
def test_streams_that_are_refused(runs: WindowDataset, settings: dict[str, int], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        runs.stream(**settings)  # type: ignore[arg-type]


# -- several processes ---------------------------------------------------------------------------


def connected(daemon: Daemon) -> "partial[MosaicoClient]":
    return partial(MosaicoClient.connect, daemon.host, daemon.port)


def fetch(dataset: WindowDataset, numbers: list[int]) -> list[tuple[int, float]]:
    return [(sample["index"], sample["v"].item()) for sample in dataset.__getitems__(numbers)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_open_their_own_client(daemon: Daemon, method: str) -> None:
    with daemon.connect() as client:
        record(client, "a", seconds=4)
    dataset = WindowDataset(connected(daemon), ["a"], {"v": Signal("speed", ["data"])}, step_s=0.1)
    batches = [[3, 1, 2], [40, 0], [20, 21, 22], [7]]

    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map(partial(fetch, dataset), batches)
    dataset.close()

    assert found == [[(number, float(number)) for number in batch] for batch in batches]


def test_a_client_does_not_leave_its_process(client: MosaicoClient) -> None:
    record(client, "a", seconds=2)
    dataset = WindowDataset(client, ["a"], {"v": Signal("speed", ["data"])}, step_s=0.1)

    with pytest.raises(InvalidInputError, match="cannot be sent to another process; give a function"):
        pickle.dumps(dataset)


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for torch: the class that its loader looks for, and the number of the worker."""
    data = ModuleType("torch.utils.data")
    worker = SimpleNamespace(info=None)

    class IterableDataset:
        def __iter__(self) -> Iterator[Any]:
            raise NotImplementedError

    vars(data).update(IterableDataset=IterableDataset, get_worker_info=lambda: worker.info)
    for name, module in (("torch", ModuleType("torch")), ("torch.utils", ModuleType("torch.utils"))):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "torch.utils.data", data)
    worker.dataset_class = IterableDataset
    return worker


def test_workers_of_torch_share_the_samples(daemon: Daemon, torch: SimpleNamespace) -> None:
    with daemon.connect() as client:
        record(client, "a", seconds=4)
    dataset = WindowDataset(connected(daemon), ["a"], {"v": Signal("speed", ["data"])}, step_s=0.1)
    stream = dataset.stream(block=4).for_torch()

    assert isinstance(stream, torch.dataset_class)
    seen = []
    for number in range(3):
        torch.info = SimpleNamespace(id=number, num_workers=3)
        seen += indices(pickle.loads(pickle.dumps(stream)))
    assert sorted(seen) == list(range(len(dataset)))
    torch.info = None
    iterator = iter(stream)
    first = [next(iterator)["index"] for _ in range(10)]
    state = stream.state_dict()
    iterator.close()
    again = dataset.stream(block=4).for_torch()
    again.load_state_dict(state)
    again_all = dataset.stream(block=4).for_torch()
    again_all.set_epoch(0)
    assert first + indices(again) == indices(again_all)
    dataset.close()
