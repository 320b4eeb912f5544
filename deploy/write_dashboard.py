"""Writes `grafana.json`, a dashboard of the metrics of mosaicod: `python deploy/write_dashboard.py`."""

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "grafana.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_DAEMON = '{job="$job",instance=~"$instance"}'


def _rate(metric: str, by: str = "") -> str:
    return f"sum{by}(rate({metric}{_DAEMON}[$__rate_interval]))"


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', ' by (le)')})"


ROWS: tuple[tuple[str, tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]], ...] = (
    (
        "State",
        (
            ("Daemons that answer", "none", ((f"sum(up{_DAEMON})", "daemons"),)),
            (
                "Uploads and reads in progress",
                "none",
                ((f"sum by (method) (mosaico_calls_active{_DAEMON})", "{{method}}"),),
            ),
            ("Damaged chunks", "none", ((f"sum(mosaico_damaged_chunks{_DAEMON})", "damaged"),)),
            (
                "Free disk",
                "percentunit",
                (
                    (
                        f"mosaico_disk_free_bytes{_DAEMON} / mosaico_disk_size_bytes{_DAEMON}",
                        "{{instance}} {{mount}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Recording",
        (
            (
                "Rows",
                "rowsps",
                (
                    (_rate("mosaico_ingress_rows_total"), "received"),
                    (_rate("mosaico_acknowledged_rows_total"), "durable"),
                    (_rate("mosaico_egress_rows_total"), "sent to readers"),
                ),
            ),
            (
                "Bytes",
                "Bps",
                (
                    (_rate("mosaico_ingress_bytes_total"), "received"),
                    (_rate("mosaico_egress_bytes_total"), "sent to readers"),
                    (_rate("mosaico_chunk_bytes_total"), "stored as chunks"),
                ),
            ),
            (
                "Backpressure: bytes that wait for the disk",
                "percentunit",
                ((f"mosaico_ingest_bytes{_DAEMON} / mosaico_ingest_limit_bytes{_DAEMON}", "{{instance}}"),),
            ),
            ("WAL that is not in chunks", "bytes", ((f"mosaico_wal_bytes{_DAEMON}", "{{instance}}"),)),
        ),
    ),
    (
        "Latency",
        (
            (
                "Sync of the WAL",
                "s",
                (
                    (_quantile(0.5, "mosaico_wal_sync_seconds"), "half"),
                    (_quantile(0.99, "mosaico_wal_sync_seconds"), "99 %"),
                ),
            ),
            ("Calls, 99 %", "s", ((_quantile(0.99, "mosaico_call_seconds"), "all calls"),)),
            ("Store, 99 %", "s", ((_quantile(0.99, "mosaico_store_seconds"), "operations"),)),
            ("Catalog, 99 %", "s", ((_quantile(0.99, "mosaico_catalog_seconds"), "statements"),)),
        ),
    ),
    (
        "Failures",
        (
            (
                "Calls that failed",
                "cps",
                (
                    (
                        "sum by (code) (rate(mosaico_calls_total"
                        '{job="$job",instance=~"$instance",code!~"OK|CANCELLED"}[$__rate_interval]))',
                        "{{code}}",
                    ),
                ),
            ),
            (
                "Background work that failed",
                "cps",
                ((_rate("mosaico_job_failures_total", " by (job)"), "{{job}}"),),
            ),
            (
                "Cache of a bucket's chunks",
                "cps",
                (
                    (_rate("mosaico_cache_hits_total"), "found"),
                    (_rate("mosaico_cache_misses_total"), "fetched"),
                ),
            ),
            ("Memory", "bytes", ((f"process_resident_memory_bytes{_DAEMON}", "{{instance}}"),)),
        ),
    ),
)
"""Titles of rows; title, unit, and expressions with legends of their panels."""


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana exports one."""
    panels: list[dict[str, Any]] = []
    for at, (title, contents) in enumerate(ROWS):
        top = at * 9
        place = {"h": 1, "w": 24, "x": 0, "y": top}
        panels.append({"id": len(panels) + 1, "type": "row", "title": title, "gridPos": place, "panels": []})
        for column, (name, unit, expressions) in enumerate(contents):
            panels.append(_panel(len(panels) + 1, name, unit, expressions, column * 6, top + 1))
    return {
        "uid": "mosaicod",
        "title": "mosaicod",
        "tags": ["mosaico"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [_datasource(), _variable("job", "mosaicod"), _variable("instance", "$__all")]
        },
        "panels": panels,
    }


def _panel(
    number: int, title: str, unit: str, expressions: tuple[tuple[str, str], ...], x: int, y: int
) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"h": 8, "w": 6, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": _SOURCE, "expr": expression, "legendFormat": legend}
            for at, (expression, legend) in enumerate(expressions)
        ],
    }


def _datasource() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _variable(name: str, value: str) -> dict[str, Any]:
    scope = "" if name == "job" else '{job="$job"}'
    query = f"label_values(mosaico_build_info{scope}, {name})"
    many = name == "instance"
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": many,
        "multi": many,
        "current": {"text": "All" if many else value, "value": value},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
