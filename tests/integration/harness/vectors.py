"""Recorded answers of a Mosaico 0.2.4 server, from `../shared/contract/vectors`."""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa

SHARED = Path(os.environ.get("MOSAICO_SHARED", Path(__file__).parents[3].parent / "shared"))
VECTORS = SHARED / "contract" / "vectors"


def recorded(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def recorded_rows(name: str) -> pa.Table:
    """Rows as `do_get` sent them: text and bytes at the top level are views."""
    with pa.ipc.open_file(VECTORS / f"do_get_{name}.arrow") as file:
        return file.read_all()


def trace() -> list[dict[str, Any]]:
    """The calls of one session of Mosaico's own client, in order."""
    calls = recorded("sdk_trace").values()
    return next(part for part in calls if isinstance(part, list))


def queries() -> list[tuple[dict[str, Any], dict[str, Any] | str]]:
    """Every recorded query with its answer, or the text of its refusal."""
    found = [
        (case["query"], case.get("response") or case["grpc_message"]) for case in recorded("query")["cases"]
    ]
    for call in trace() + recorded("actions"):
        if call["request"].get("type") == "query":
            (answer,) = call["response"] if isinstance(call["response"], list) else [call["response"]]
            found.append((call["request"]["body"]["json"], answer["json"]["response"]))
    return found


def created(sequence: str) -> list[dict[str, Any]]:
    """The recorded bodies that made a sequence and those of its topics that stayed."""
    made = {}
    for call in trace() + recorded("actions"):
        body = call["request"].get("body", {}).get("json", {})
        if call["grpc_code"] != "OK" or body.get("name", "").split("/")[0] != sequence:
            continue
        if call["request"]["type"] in ("sequence_create", "topic_create"):
            made[body["name"]] = body
        elif call["request"]["type"] == "topic_delete":
            del made[body["name"]]
    return list(made.values())


def stored_form(rows: pa.Table) -> pa.Table:
    """The same rows with the types that writers send."""
    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in rows.schema]
    return rows.cast(pa.schema(fields, rows.schema.metadata))
