"""PX4 flight logs (ULog).

A ULog topic whose content has a data class becomes `/<topic>/<part>`; `_ulog_rules.RULES` is the table of
parts. Any other topic becomes `/<topic>` with all its fields as columns (tag `px4.<topic>`). If the log
contains several instances of a topic, `/<topic>_<instance>` stands for `/<topic>`. Logged messages,
parameters, dropouts and lists of information are topics below `/ulog`.

Times: ULog counts microseconds since boot. UTC times of GPS fixes that agree with each other, else the
information `boot_time_utc_us`, convert all times to nanoseconds since the Unix epoch; the sequence metadata
`time_reference` is then `gps_utc` or `boot_time_utc`, else `boot`. A sensor whose sample time is logged
relative to its row keeps both: `timestamp_ns` is the time of the sample, `recording_timestamp_ns` that of
the row.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mosaicolabs.models import Message

from ._merge import merge_in_time
from ._options import class_option, flag_option
from ._reader_api import Messages, Recording, RecordingError, Skipped, TopicSpec
from ._ulog_file import MAGIC, Subscription, UlogFile, read_ulog
from ._ulog_format import Columns, flat_columns
from ._ulog_rules import RULES, Rule
from ._ulog_tables import Table, log_topics, open_table, table_topic
from ._ulog_time import NS_PER_US, boot_time_ns

_INVALID_OFFSET = 2**31 - 1
_GENERIC, _BOTH = "generic", "both"


@dataclass(frozen=True)
class _Stream:
    """One topic: a rule applied to the columns of one ULog topic instance."""

    spec: TopicSpec
    rule: Rule
    columns: Columns
    rows: npt.NDArray[np.int64]
    sample_ns: npt.NDArray[np.int64]
    row_ns: npt.NDArray[np.int64]

    def read(self) -> Iterator[tuple[str, Message]]:
        build = self.rule.build(self.columns)
        both_times = self.rule.offset is not None
        for position in np.argsort(self.sample_ns, kind="stable"):
            yield (
                self.spec.name,
                Message(
                    timestamp_ns=int(self.sample_ns[position]),
                    recording_timestamp_ns=int(self.row_ns[position]) if both_times else None,
                    data=build(int(self.rows[position])),
                ),
            )


class UlogReader:
    """Reads PX4 ULog files."""

    name = "ulog"
    description = "PX4 flight log (.ulg)"
    options = {  # noqa: RUF012 - a member of the protocol Reader
        "known_only": "true: skip topics without a data class",
        "as": "PATTERN=generic: all fields instead of data classes; PATTERN=both: both; joined by commas",
    }

    def sniff(self, path: Path) -> bool:
        """Whether the file begins like a ULog file."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def open(self, path: Path, **options: str) -> Recording:
        """Parses the whole log; damage raises when the messages have been read."""
        classes = class_option(options)
        for pattern, value in classes.items():
            if value not in (_GENERIC, _BOTH):
                raise RecordingError(f"option as: {pattern} cannot be `{value}`, only {_GENERIC} or {_BOTH}")
        known_only = flag_option(options, "known_only")
        return _Opened(path, read_ulog(path), known_only=known_only, classes=classes).recording()


class _Opened:
    """A parsed log, which becomes a recording."""

    def __init__(self, path: Path, log: UlogFile, *, known_only: bool, classes: Mapping[str, str]) -> None:
        self.path = path
        self.log = log
        self.known_only = known_only
        self.classes = classes
        self.skipped: list[Skipped] = []
        self.fields_of: list[Table] = []
        self.streams: list[_Stream] = []
        counts = Counter(subscription.topic for subscription in log.subscriptions)
        self.tables = [
            open_table(
                entry.topic if counts[entry.topic] == 1 else f"{entry.topic}_{entry.instance}", entry, log
            )
            for entry in _joined(log.subscriptions)
        ]

    def recording(self) -> Recording:
        epoch_ns, reference, doubts = boot_time_ns(self._gps(), self.log.information)
        self.skipped += [Skipped("time of boot", 0, doubt) for doubt in doubts]
        for table in self.tables:
            self._choose(table, epoch_ns or 0)
        generic = self._generic(epoch_ns or 0)
        self._note_log()
        if not self.streams and not generic:
            listed = ", ".join(sorted({table.source for table in self.tables})) or "none"
            damage = "".join(f"; {problem}" for problem in self.log.damage[:1])
            raise RecordingError(
                f"{self.path}: no topic with a matching ontology; topics in the log: {listed}{damage}"
            )

        def messages() -> Messages:
            for _, batches in self._generic(epoch_ns or 0):
                yield from batches
            yield from merge_in_time(stream.read() for stream in self.streams)
            if self.log.damage:
                first, *more = self.log.damage
                rest = f" (and {len(more)} more)" if more else ""
                raise RecordingError(
                    f"{self.path}: {first}{rest}; `--on-error report` keeps what is readable"
                )

        return Recording(
            topics=(*(spec for spec, _ in generic), *(stream.spec for stream in self.streams)),
            messages=messages,
            metadata=_metadata(self.path, self.log, epoch_ns, reference),
            skipped=tuple(self.skipped),
        )

    def _gps(self) -> list[Columns]:
        columns = [dict(flat_columns(table.rows)) for table in self.tables if table.format is not None]
        return [found for found in columns if {"time_utc_usec", "fix_type", "timestamp"} <= found.keys()]

    def _generic(self, epoch_ns: int) -> list[tuple[TopicSpec, Messages]]:
        topics = [table_topic(table, self.log, epoch_ns) for table in self.fields_of]
        return topics if self.known_only else [*topics, *log_topics(self.log, epoch_ns)]

    def _choose(self, table: Table, epoch_ns: int) -> None:
        """Stores a topic as data classes, with all its fields, or both."""
        wanted = [
            value for pattern, value in self.classes.items() if fnmatchcase(f"/{table.source}", pattern)
        ]
        rules = [] if wanted[-1:] == [_GENERIC] else self._rules(table)
        fields = bool(table.subscription.rows) and (wanted != [] or not (rules or self.known_only))
        self._note(table, fields=fields)
        if fields:
            self.fields_of.append(table)
        if rules:
            self._apply(table, rules, epoch_ns, fields=fields)
        elif not fields and table.format is not None:
            reason = "no matching ontology" if table.subscription.rows else "no messages"
            self.skipped.append(Skipped(table.source, table.rows.size, reason))

    def _note(self, table: Table, *, fields: bool) -> None:
        source, rows = table.source, len(table.subscription.rows)
        if table.format is None:
            reason = f"{table.problem}; {'stored as bytes' if fields else 'not stored'}"
            self.skipped.append(Skipped(source, 0 if fields else rows, reason))
        elif not table.format.has_time and rows:
            reason = "its rows have no timestamp; they have that of the row before them"
            self.skipped.append(Skipped(source, 0, reason))
        if table.overflows:
            reason = f"its timestamp overflows {table.overflows} times; the times are continued"
            self.skipped.append(Skipped(source, 0, reason))
        if table.unfit and not fields:
            reason = "rows that are shorter or longer than their format"
            self.skipped.append(Skipped(source, table.unfit, reason))

    def _note_log(self) -> None:
        """Lists what the log contains beside topics, if it is not stored."""
        log = self.log
        for kind, count in log.unknown.items():
            self.skipped.append(Skipped(f"records of kind {kind}", count, "this kind is not known"))
        if not self.known_only:
            return
        for source, count in (
            ("logged messages", len(log.texts)),
            ("parameters", len(log.parameters)),
            ("lists of information", len(log.lists)),
        ):
            if count:
                self.skipped.append(Skipped(source, count, "no matching ontology"))

    def _rules(self, table: Table) -> list[Rule]:
        """The rule of each part that the topic has."""
        if table.format is None or not table.format.has_time or not table.rows.size:
            return []
        names = {name for name, _ in flat_columns(table.rows)}
        chosen: dict[str, Rule] = {}
        for rule in RULES:
            if table.subscription.topic in rule.sources and names.issuperset(rule.needs):
                chosen.setdefault(rule.part, rule)
        return list(chosen.values())

    def _apply(self, table: Table, rules: list[Rule], epoch_ns: int, *, fields: bool) -> None:
        columns = {**dict(flat_columns(table.rows)), "timestamp": table.times_us}
        for rule in rules:
            self._add_stream(table, columns, rule, epoch_ns)
        used = {"timestamp", *(name for rule in rules for name in rule.columns(columns))}
        unused = [name for name in columns if name not in used]
        if unused and not fields:
            reason = f"columns without a place in an ontology: {', '.join(unused)}"
            if not self.known_only:
                reason += f"; --as /{table.source}={_BOTH} stores all columns too"
            self.skipped.append(Skipped(table.source, 0, reason))

    def _add_stream(self, table: Table, columns: Columns, rule: Rule, epoch_ns: int) -> None:
        row_us = columns["timestamp"].astype(np.int64)
        rows = np.arange(row_us.size)
        sample_us = row_us
        if rule.offset is not None and rule.offset in columns:
            offset_us = columns[rule.offset].astype(np.int64)
            rows = np.flatnonzero(offset_us != _INVALID_OFFSET)
            sample_us = row_us + offset_us
            if rows.size < row_us.size:
                reason = f"{rule.part}: marked invalid by the vehicle"
                self.skipped.append(Skipped(table.source, int(row_us.size - rows.size), reason))
        if not rows.size:
            return
        used = rule.columns(columns)
        spec = TopicSpec(
            name=f"/{table.source}/{rule.part}",
            ontology=rule.ontology,
            messages=int(rows.size),
            size_bytes=int(rows.size) * sum(columns[name].itemsize for name in ("timestamp", *used)),
            metadata={
                **rule.metadata,
                "px4_topic": table.subscription.topic,
                "px4_instance": table.subscription.instance,
                **{
                    f"{flag}_rows": int(np.count_nonzero(columns[flag]))
                    for flag in rule.flags
                    if flag in columns
                },
            },
        )
        self.streams.append(
            _Stream(
                spec,
                rule,
                columns,
                rows,
                sample_ns=epoch_ns + sample_us[rows] * NS_PER_US,
                row_ns=epoch_ns + row_us[rows] * NS_PER_US,
            )
        )


def _joined(subscriptions: list[Subscription]) -> list[Subscription]:
    """One subscription for each topic instance: a topic may be unsubscribed and subscribed again."""
    joined: dict[tuple[str, int], Subscription] = {}
    for entry in subscriptions:
        known = joined.get((entry.topic, entry.instance))
        if known is None:
            joined[entry.topic, entry.instance] = entry
        else:
            known.rows += entry.rows
            known.after_us += entry.after_us
    return list(joined.values())


def _metadata(path: Path, log: UlogFile, epoch_ns: int | None, reference: str) -> dict[str, Any]:
    return {
        "source": path.name,
        "source_format": UlogReader.name,
        "time_reference": reference,
        "boot_time_ns": epoch_ns,
        "dropouts": len(log.dropouts),
        "dropouts_ms": sum(duration for _, duration in log.dropouts),
        "px4": log.information,
        "contents": {
            "/ulog/logged_messages": f"{len(log.texts)} logged messages",
            "/ulog/parameters": f"{len(log.parameters)} values of parameters",
            "/ulog/information": f"{sum(map(len, log.lists.values()))} entries of information lists",
        },
    }
