"""Failed recordings: nothing remains under Delete, everything that was pushed under Report."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.record import number, record_numbers, replay, sequence_of, topic_of

from mosaicolabs import (
    IMU,
    Integer64,
    MosaicoClient,
    OnErrorPolicy,
    SequenceStatus,
    SequenceWriter,
    TopicWriter,
)
from mosaicolabs.comm import NotifyType
from mosaicolabs.exceptions import AlreadyExistsError, InvalidInputError, MosaicoError

pytestmark = pytest.mark.catalog

BOTH = pytest.mark.parametrize("policy", list(OnErrorPolicy))


class UnpluggedError(Exception):
    """What goes wrong in these tests."""


def record_and_fail(
    client: MosaicoClient, name: str, policy: OnErrorPolicy, error: BaseException, rows: int = 100
) -> SequenceWriter:
    with pytest.raises(type(error)) as raised, client.sequence_create(name, on_error=policy) as sequence:
        imu = sequence.topic_create("a", {}, Integer64)
        sequence.topic_create("quiet", {}, IMU)
        for i in range(rows):
            imu.push(number(i, i))
        raise error
    assert raised.value is error
    assert sequence.sequence_status == SequenceStatus.Error
    assert sequence.list_topics() == []
    return sequence


def files_of(folder: Path) -> set[str]:
    """Every file below the folder that belongs to a sequence, and not to the daemon."""
    own = re.compile(r"catalog\.db.*|mosaicod\.lock|store\.json|tmp/[^/]*\.lock|events/.*")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if not own.fullmatch(path)}


# -- Delete --------------------------------------------------------------------------------------


def test_delete_leaves_nothing(client: MosaicoClient, tmp_path: Path) -> None:
    record_numbers(client, "before", {"t": [(1, 1)]})
    kept = files_of(tmp_path / "store")
    assert kept, "a finalized sequence has files"
    record_and_fail(client, "gone", OnErrorPolicy.Delete, UnpluggedError("imu"), rows=20_000)
    assert client.list_sequences() == ["before"]
    assert client.sequence_handler("gone") is None
    assert client.topic_handler("gone", "a") is None
    assert client.list_sequence_notify("gone") == []
    client.close()
    assert files_of(tmp_path / "store") == kept
    with MosaicoClient.embedded(tmp_path / "store") as again:
        assert again.list_sequences() == ["before"]
        assert replay(again, "before") == [("/t", 1, 1)]


def test_delete_removes_flushed_rows_too(client: MosaicoClient, tmp_path: Path) -> None:
    with pytest.raises(UnpluggedError), client.sequence_create("gone") as sequence:
        topic = sequence.topic_create("t", {}, Integer64)
        topic.push(number(1, 1))
        topic.flush()
        assert replay(client, "gone") == [("/t", 1, 1)]
        raise UnpluggedError
    assert client.list_sequences() == []
    client.close()
    assert files_of(tmp_path / "store") == set()


@pytest.mark.parametrize(
    ("policy", "outcome"),
    [(OnErrorPolicy.Delete, "deleted"), (OnErrorPolicy.Report, "kept as far as it was stored, unlocked")],
)
def test_one_line_says_what_became_of_it(
    either: MosaicoClient,
    name: str,
    policy: OnErrorPolicy,
    outcome: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = UnpluggedError("the arm")
    record_and_fail(either, name, policy, error)
    line = f"sequence '{name}' was {outcome}"
    assert traceback.format_exception(error)[-1] == f"{line}; on_error={policy.name}\n"
    assert not capsys.readouterr().err
    record_and_fail(either, f"{name}-2", policy, KeyboardInterrupt())
    line = line.replace(name, f"{name}-2")
    assert capsys.readouterr().err == f"mosaicolabs: {line}: KeyboardInterrupt; on_error={policy.name}\n"


@BOTH
def test_ctrl_c_may_finalize(
    either: MosaicoClient, name: str, policy: OnErrorPolicy, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        either.sequence_create(name, on_error=policy, finalize_on=KeyboardInterrupt) as sequence,
    ):
        topic = sequence.topic_create("a", {}, Integer64)
        for i in range(100):
            topic.push(number(i, i))
        raise KeyboardInterrupt
    assert sequence.sequence_status is SequenceStatus.Finalized
    assert sequence_of(either, name).is_locked
    assert len(replay(either, name)) == 100
    assert not either.list_sequence_notify(name)
    assert capsys.readouterr().err == (
        f"mosaicolabs: sequence '{name}' was finalized: KeyboardInterrupt; finalize_on\n"
    )


def test_other_errors_than_those_of_finalize_on(either: MosaicoClient, name: str) -> None:
    with (
        pytest.raises(UnpluggedError),
        either.sequence_create(name, finalize_on=(KeyboardInterrupt, SystemExit)) as sequence,
    ):
        sequence.topic_create("a", {}, Integer64).push(number(1, 1))
        raise UnpluggedError
    assert name not in either.list_sequences()
    with pytest.raises(InvalidInputError, match=r"finalize_on is .*; give classes of exceptions"):
        either.sequence_create(name, finalize_on=("KeyboardInterrupt",))  # type: ignore[arg-type]


def test_a_second_ctrl_c_deletes_nothing(
    client: MosaicoClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        client.sequence_create(name, finalize_on=KeyboardInterrupt) as sequence,
    ):
        topic = sequence.topic_create("a", {}, Integer64)
        for i in range(100):
            topic.push(number(i, i))
        monkeypatch.setattr(SequenceWriter, "_finish_topics", interrupted)
        raise KeyboardInterrupt
    assert len(replay(client, name)) == 100
    assert not sequence_of(client, name).is_locked


def test_delete_is_the_default(either: MosaicoClient, name: str) -> None:
    with pytest.raises(UnpluggedError), either.sequence_create(name):
        raise UnpluggedError
    assert name not in either.list_sequences()


def test_a_name_is_free_again_after_delete(either: MosaicoClient, name: str) -> None:
    record_and_fail(either, name, OnErrorPolicy.Delete, UnpluggedError("imu"), rows=3000)
    record_numbers(either, name, {"a": [(7, 7)]})
    assert replay(either, name) == [("/a", 7, 7)]
    assert sequence_of(either, name).topics == ["/a"]


# -- Report --------------------------------------------------------------------------------------


def test_report_keeps_everything_that_was_pushed(either: MosaicoClient, name: str) -> None:
    record_and_fail(either, name, OnErrorPolicy.Report, UnpluggedError("imu: no answer"))
    assert name in either.list_sequences()
    handler = sequence_of(either, name)
    assert handler.is_locked is False
    assert handler.topics == ["/a", "/quiet"]
    assert replay(either, name) == [("/a", i, i) for i in range(100)]

    (note,) = either.list_sequence_notify(name)
    assert note.sequence_name == name
    assert note.topic_name is None
    assert note.notify_type is NotifyType.ERROR
    assert note.message == "imu: no answer"
    assert note.created_datetime.tzinfo is not None
    either.clear_sequence_notify(name)
    assert either.list_sequence_notify(name) == []

    either.sequence_delete(name)
    assert name not in either.list_sequences()
    assert either.sequence_handler(name) is None
    record_numbers(either, name, {"a": [(5, 5)]})
    assert replay(either, name) == [("/a", 5, 5)]


def test_report_survives_a_restart(client: MosaicoClient, tmp_path: Path) -> None:
    record_and_fail(client, "kept", OnErrorPolicy.Report, UnpluggedError("imu"), rows=5000)
    client.close()
    with MosaicoClient.embedded(tmp_path / "store") as again:
        assert sequence_of(again, "kept").is_locked is False
        assert len(replay(again, "kept")) == 5000
        assert [note.message for note in again.list_sequence_notify("kept")] == ["imu"]
        again.sequence_delete("kept")
        again.close()
    assert files_of(tmp_path / "store") == set()


@pytest.mark.parametrize(
    "push",
    [
        lambda topic: topic.push(number(10, 2**70)),
        lambda topic: topic.push_columns(timestamp_ns=[10], data=["10"]),
    ],
    ids=["message", "columns"],
)
def test_report_names_topic_and_field(
    either: MosaicoClient, name: str, push: Callable[[TopicWriter], None]
) -> None:
    with (
        pytest.raises(InvalidInputError) as raised,
        either.sequence_create(name, on_error=OnErrorPolicy.Report) as sequence,
    ):
        good, bad = (sequence.topic_create(topic, {}, Integer64) for topic in ("good", "bad"))
        for i in range(10):
            good.push(number(i, i))
            bad.push(number(i, i))
        push(bad)
    for note in (*either.list_sequence_notify(name), *either.list_topic_notify(name, "bad")):
        assert note.message == str(raised.value)
        assert "bad" in note.message
        assert "data" in note.message
    (note,) = either.list_topic_notify(name, "bad")
    assert (note.sequence_name, note.topic_name) == (name, "/bad")
    assert either.list_topic_notify(name, "good") == []
    assert len(replay(either, name)) == 20
    either.clear_topic_notify(name, "bad")
    assert either.list_topic_notify(name, "bad") == []


def test_an_error_without_text_is_noted_by_its_class(either: MosaicoClient, name: str) -> None:
    record_and_fail(either, name, OnErrorPolicy.Report, UnpluggedError())
    assert [note.message for note in either.list_sequence_notify(name)] == ["UnpluggedError"]


# -- both ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
@BOTH
def test_interrupts_are_errors_too(
    either: MosaicoClient, name: str, policy: OnErrorPolicy, error: BaseException
) -> None:
    record_and_fail(either, name, policy, error, rows=10)
    kept = policy is OnErrorPolicy.Report
    assert (name in either.list_sequences()) is kept
    if kept:
        assert len(replay(either, name)) == 10


def bad_name(sequence: SequenceWriter) -> None:
    sequence.topic_create("not allowed", {}, IMU)


def taken_name(sequence: SequenceWriter) -> None:
    sequence.topic_create("a", {}, IMU)


def no_data_class(sequence: SequenceWriter) -> None:
    sequence.topic_create("b", {}, int)  # type: ignore[arg-type]


def no_json(sequence: SequenceWriter) -> None:
    sequence.topic_create("b", {"when": object()}, IMU)


@pytest.mark.parametrize("mistake", [bad_name, taken_name, no_data_class, no_json])
@BOTH
def test_errors_inside_topic_create(
    either: MosaicoClient,
    name: str,
    policy: OnErrorPolicy,
    mistake: Callable[[SequenceWriter], None],
) -> None:
    with (
        pytest.raises((ValueError, TypeError, AlreadyExistsError)),
        either.sequence_create(name, on_error=policy) as sequence,
    ):
        sequence.topic_create("a", {}, Integer64).push(number(1, 1))
        mistake(sequence)
    assert sequence.sequence_status == SequenceStatus.Error
    if policy is OnErrorPolicy.Delete:
        assert name not in either.list_sequences()
    else:
        assert sequence_of(either, name).topics == ["/a"]
        assert replay(either, name) == [("/a", 1, 1)]


def test_an_error_that_the_caller_handles_is_none(either: MosaicoClient, name: str) -> None:
    with either.sequence_create(name) as sequence:
        with pytest.raises(ValueError):
            bad_name(sequence)
        sequence.topic_create("a", {}, Integer64).push(number(1, 1))
    assert sequence.sequence_status == SequenceStatus.Finalized
    assert replay(either, name) == [("/a", 1, 1)]


@BOTH
def test_a_topic_with_its_own_block_that_fails(
    either: MosaicoClient, name: str, policy: OnErrorPolicy
) -> None:
    with pytest.raises(UnpluggedError), either.sequence_create(name, on_error=policy) as sequence:
        with sequence.topic_create("a", {}, Integer64) as topic:
            topic.push(number(1, 1))
            raise UnpluggedError("in the topic")
    if policy is OnErrorPolicy.Delete:
        assert name not in either.list_sequences()
    else:
        assert replay(either, name) == [("/a", 1, 1)]


@BOTH
def test_finalize_that_is_refused_raises(either: MosaicoClient, name: str, policy: OnErrorPolicy) -> None:
    with pytest.raises(MosaicoError, match=name), either.sequence_create(name, on_error=policy) as sequence:
        sequence.topic_create("a", {}, Integer64).push(number(1, 1))
        # Somebody removes the sequence behind the writer's back.
        sequence.get_topic("a").flush()
        either.sequence_delete(name)
    assert sequence.sequence_status == SequenceStatus.Error
    assert name not in either.list_sequences()


@BOTH
def test_existing_name_affects_neither_recording(
    either: MosaicoClient, name: str, policy: OnErrorPolicy
) -> None:
    with either.sequence_create(name) as first:
        topic = first.topic_create("a", {}, Integer64)
        topic.push(number(1, 1))
        with pytest.raises(AlreadyExistsError, match=name), either.sequence_create(name, on_error=policy):
            pytest.fail("entered a sequence whose name is taken")
        topic.push(number(2, 2))
    assert first.sequence_status == SequenceStatus.Finalized
    assert replay(either, name) == [("/a", 1, 1), ("/a", 2, 2)]
    assert either.list_sequence_notify(name) == []


def test_locked_topics_of_a_failed_sequence_can_be_deleted_with_it(either: MosaicoClient, name: str) -> None:
    record_and_fail(either, name, OnErrorPolicy.Report, UnpluggedError("imu"))
    assert topic_of(either, name, "a").is_locked
    either.sequence_delete(name)
    assert either.topic_handler(name, "a") is None
