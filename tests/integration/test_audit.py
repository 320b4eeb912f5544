"""The audit log of the real daemon: its file, and the events that `mosaico events` lists."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from harness.daemon import Daemon, run_mosaicod
from harness.record import record_numbers, within

from mosaicolabs import EventKind
from mosaicolabs.exceptions import PermissionDeniedError

MOSAICO = Path(sys.executable).with_name("mosaico")


def create_key(store: Path, permissions: str) -> str:
    command = ("api-key", "create", "--permissions", permissions, "--local-store", store)
    done = run_mosaicod(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_the_file_is_private_and_survives_rotation(tmp_path: Path) -> None:
    store, audit = tmp_path / "store", tmp_path / "audit.jsonl"
    token = create_key(store, "read|write")
    with (
        Daemon(store, "--anonymous", "none", "--audit-log", str(audit)) as daemon,
        daemon.connect(api_key=token) as client,
    ):
        record_numbers(client, "first", {"t": [(1, 1)]})
        assert within(10, lambda: any(line["call"] == "sequence_finalize" for line in lines(audit)))
        assert stat.S_IMODE(audit.stat().st_mode) == 0o600
        moved = tmp_path / "audit.jsonl.1"
        audit.rename(moved)
        os.kill(daemon.process.pid, signal.SIGHUP)
        record_numbers(client, "second", {"t": [(1, 1)]})
        assert within(10, lambda: any(line["call"] == "sequence_finalize" for line in lines(audit)))
        fingerprint = token.rsplit("_", 1)[1]  # its creation is audited too
        assert {line["subject"].split("/")[0] for line in lines(moved)} == {fingerprint, "first"}
        assert {line["subject"].split("/")[0] for line in lines(audit)} == {"second"}
        assert {line["who"] for line in lines(audit)} == {f"key {fingerprint}"}
        assert set(lines(audit)[0]) == {"time", "who", "call", "subject", "from", "result", "request"}
        assert token.split("_")[1] not in audit.read_text() + moved.read_text()


def test_administrators_list_audit_events(tmp_path: Path) -> None:
    store = tmp_path / "store"
    writer, admin = create_key(store, "read|write"), create_key(store, "read|admin")
    key_file = tmp_path / "key"
    key_file.write_text(admin)
    with Daemon(store, "--anonymous", "none") as daemon:
        with daemon.connect(api_key=writer) as client:
            record_numbers(client, "run", {"t": [(1, 1)]})
            with pytest.raises(PermissionDeniedError, match="admin"):
                list(client.events(kinds=[EventKind.AUDIT]))
            assert EventKind.AUDIT not in {event.kind for event in client.events()}
        with daemon.connect(api_key=admin) as client:

            def calls() -> list[str]:
                found = client.events(kinds=[EventKind.AUDIT], sequence_name="run")
                return [event.detail["call"] for event in found]

            expected = ["sequence_create", "topic_create", "DoPut", "sequence_finalize"]
            assert within(10, lambda: calls() == expected)
        command = [
            str(MOSAICO),
            "events",
            "--kind",
            "audit",
            "--host",
            daemon.host,
            "--port",
            str(daemon.port),
        ]
        done = subprocess.run(
            [*command, "--api-key-file", str(key_file)],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    assert f"who=key {writer.rsplit('_', 1)[1]}" in done.stdout
    assert "call=sequence_finalize" in done.stdout
