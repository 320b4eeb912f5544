"""The final report of `mosaico ingest` and of the ROS injector."""

from typing import Any

from mosaicolabs.ingest import DryRun, IngestResult, Recording

from .output import counted, echo, human_bytes, human_span
from .tables import Table, print_table


def report(result: IngestResult, *, place: str, format_name: str) -> dict[str, Any]:
    """The document that `--json` prints."""
    handler, recording = result.handler, result.recording
    topics = [
        {
            "name": topic.name,
            "ontology": topic.ontology.ontology_tag(),
            "messages": result.messages[topic.name],
            "bytes_read": topic.size_bytes,
            "bytes_stored": result.stored_bytes[topic.name],
            "metadata": dict(topic.metadata),
        }
        for topic in recording.topics
    ]
    return {
        "sequence": handler.name,
        "place": place,
        "format": format_name,
        "metadata": handler.user_metadata,
        "messages": sum(result.messages.values()),
        "bytes_read": recording.size_bytes,
        "bytes_stored": handler.total_size_bytes,
        "seconds": round(result.seconds, 3),
        "timestamp_ns_min": handler.timestamp_ns_min,
        "timestamp_ns_max": handler.timestamp_ns_max,
        "topics": topics,
        "failed": [
            {"topic": name, "messages": failures.messages, "first": failures.first}
            for name, failures in result.failed.items()
        ],
        "skipped": [
            {"source": skip.source, "messages": skip.messages, "reason": skip.reason}
            for skip in recording.skipped
        ],
    }


def dry_report(result: DryRun, recording: Recording, *, sequence: str, format_name: str) -> dict[str, Any]:
    """The document that `--dry-run --json` prints: that of `report`, without what is in a store."""
    return {
        "sequence": sequence,
        "dry_run": True,
        "format": format_name,
        "metadata": dict(recording.metadata),
        "messages": sum(result.messages.values()),
        "bytes_read": recording.size_bytes,
        "timestamp_ns_min": result.timestamp_ns_min,
        "timestamp_ns_max": result.timestamp_ns_max,
        "topics": [
            {
                "name": topic.name,
                "ontology": topic.ontology.ontology_tag(),
                "messages": result.messages[topic.name],
                "bytes_read": topic.size_bytes,
                "metadata": dict(topic.metadata),
            }
            for topic in recording.topics
        ],
        "failed": [
            {"topic": name, "messages": failures.messages, "first": failures.first}
            for name, failures in result.failed.items()
        ],
        "skipped": [
            {"source": skip.source, "messages": skip.messages, "reason": skip.reason}
            for skip in recording.skipped
        ],
        "damage": result.damage,
    }


def print_report(document: dict[str, Any]) -> None:
    """Prints the document of `report` as tables."""
    numbers = ("messages", "read", "stored")
    topics = Table("topic", "ontology", *numbers, numbers=numbers, spare=("read", "stored"))
    for topic in document["topics"]:
        stored = human_bytes(topic["bytes_stored"]) if "bytes_stored" in topic else "-"
        sizes = human_bytes(topic["bytes_read"]), stored
        topics.add_row(topic["name"], topic["ontology"], f"{topic['messages']:,}", *sizes)
    print_table(topics)
    for title, source, reason in (("skipped", "source", "reason"), ("failed", "topic", "first")):
        if document[title]:
            echo()
            rows = Table(title, "messages", reason, numbers=("messages",))
            for row in document[title]:
                rows.add_row(row[source], f"{row['messages']:,}", row[reason])
            print_table(rows)
    echo()
    echo(report_line(document))


def report_line(document: dict[str, Any]) -> str:
    """The document of `report` or `dry_report` in one line."""
    if document.get("dry_run"):
        return _dry_line(document)
    seconds = max(document["seconds"], 1e-9)
    skipped = sum(row["messages"] for row in document["skipped"])
    failed = sum(row["messages"] for row in document["failed"])
    parts = [
        f"{document['sequence']}: {counted(document['messages'], 'message')} over "
        f"{human_span(document['timestamp_ns_min'], document['timestamp_ns_max'])} in {seconds:.1f} s "
        f"({document['messages'] / seconds:,.0f} msg/s, {document['bytes_read'] / seconds / 1e6:.1f} MB/s)",
        f"{human_bytes(document['bytes_stored'])} in {document['place']}",
        *([f"{skipped:,} skipped"] if skipped else []),
        *([f"{failed:,} failed"] if failed else []),
    ]
    return ", ".join(parts)


def _dry_line(document: dict[str, Any]) -> str:
    span = ""
    if document["timestamp_ns_min"] is not None:
        span = f" over {human_span(document['timestamp_ns_min'], document['timestamp_ns_max'])}"
    skipped = sum(row["messages"] for row in document["skipped"])
    parts = [
        f"{document['sequence']}: {counted(document['messages'], 'message')}{span} can be stored; "
        "a dry run stores nothing",
        *([f"{skipped:,} skipped"] if skipped else []),
        *([document["damage"]] if document["damage"] else []),
    ]
    return ", ".join(parts)


def failed_summary(document: dict[str, Any]) -> str | None:
    """One line if some messages are not stored; None if all are."""
    failed = document["failed"]
    if not failed:
        return None
    count = sum(row["messages"] for row in failed)
    return (
        f"{count} messages are not stored (topics {', '.join(row['topic'] for row in failed)}); first error: "
        f"{failed[0]['first']}"
    )
