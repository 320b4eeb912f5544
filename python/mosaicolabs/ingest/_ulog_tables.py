"""Topics of a ULog without a data class: fields of topics, texts, parameters, dropouts, information."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._columns import columns_topic
from ._reader_api import FailedMessage, Messages, TopicSpec
from ._ulog_file import Subscription, UlogFile
from ._ulog_format import Format, FormatError, arrow_columns, parse_format
from ._ulog_time import NS_PER_US, row_times_us


@dataclass(frozen=True)
class Table:
    """The rows of one topic instance.

    Attributes:
        source: Name of the topic, with the number of the instance if there are several.
        subscription: The encoded rows.
        format: Their layout; None if it cannot be used.
        problem: Why not.
        rows: The rows that fit the format.
        times_us: Their times, us since boot.
        unfit: Number of the other rows.
        overflows: How often the time started again from zero.
    """

    source: str
    subscription: Subscription
    format: Format | None
    problem: str
    rows: npt.NDArray[Any]
    times_us: npt.NDArray[np.int64]
    unfit: int
    overflows: int


def open_table(source: str, subscription: Subscription, log: UlogFile) -> Table:
    """Decodes the rows of a topic instance. Without a time of their own they have that of the row before."""
    after_us = np.array(subscription.after_us, np.int64)
    try:
        layout = parse_format(subscription.topic, log.formats)
    except FormatError as error:
        return Table(source, subscription, None, str(error), np.empty(0), after_us, 0, 0)
    rows, fits = layout.rows(subscription.rows)
    times, overflows = row_times_us(rows["timestamp"]) if layout.has_time else (after_us[fits], 0)
    return Table(source, subscription, layout, "", rows, times, int((~fits).sum()), overflows)


def table_topic(table: Table, log: UlogFile, epoch_ns: int) -> tuple[TopicSpec, Messages]:
    """The topic with all fields of a table; rows whose format cannot be used are bytes."""
    subscription = table.subscription
    metadata = {
        "px4_topic": subscription.topic,
        "px4_instance": subscription.instance,
        "encoding": "ulog",
        "definition": log.formats.get(subscription.topic, ""),
    }
    name = f"/{table.source}"
    if table.format is None:
        tag, columns = "raw_message", {"data": pa.array(subscription.rows, pa.binary())}
    else:
        tag, columns = f"px4.{subscription.topic}", arrow_columns(table.rows)
    spec, messages = columns_topic(name, tag, table.times_us * NS_PER_US + epoch_ns, columns, metadata)
    if not table.unfit:
        return spec, messages
    return (
        TopicSpec(name, spec.ontology, spec.messages + table.unfit, spec.size_bytes, metadata),
        _with_failures(messages, name, table.unfit),
    )


def log_topics(log: UlogFile, epoch_ns: int) -> Iterator[tuple[TopicSpec, Messages]]:
    """Topics of what a log contains beside rows; those without content are left out."""

    def times(us: Sequence[int]) -> npt.NDArray[np.int64]:
        return np.array(us, np.int64) * NS_PER_US + epoch_ns

    if log.texts:
        yield columns_topic(
            "/ulog/logged_messages",
            "px4.logged_message",
            times([text.timestamp_us for text in log.texts]),
            {
                "level": pa.array([text.level for text in log.texts]),
                "tag": pa.array([text.tag for text in log.texts], pa.uint16()),
                "message": pa.array([text.message for text in log.texts]),
            },
            {},
        )
    if log.parameters:
        yield columns_topic(
            "/ulog/parameters",
            "px4.parameter",
            times([parameter.timestamp_us for parameter in log.parameters]),
            {
                "name": pa.array([parameter.name for parameter in log.parameters]),
                "value": pa.array([parameter.value for parameter in log.parameters], pa.float64()),
                "type": pa.array([parameter.type for parameter in log.parameters]),
                "kind": pa.array([parameter.kind for parameter in log.parameters]),
            },
            {"kind": "initial, changed (at the time of the row), or default"},
        )
    if log.dropouts:
        yield columns_topic(
            "/ulog/dropouts",
            "px4.dropout",
            times([time_us for time_us, _ in log.dropouts]),
            {"duration_ms": pa.array([duration for _, duration in log.dropouts], pa.uint16())},
            {},
        )
    entries = [(key, value) for key, values in log.lists.items() for value in values]
    if entries:
        yield columns_topic(
            "/ulog/information",
            "px4.information",
            times([log.start_us] * len(entries)),
            {
                "key": pa.array([key for key, _ in entries]),
                "value": pa.array([value for _, value in entries]),
            },
            {},
        )


def _with_failures(messages: Messages, name: str, unfit: int) -> Messages:
    yield name, FailedMessage("the row is shorter or longer than its format", unfit)
    yield from messages
