"""Limits of a connection, under the names that older code imports."""

__all__ = ["DEFAULT_MAX_BATCH_BYTES", "DEFAULT_MAX_BATCH_SIZE_RECORDS", "PYARROW_OUT_OF_RANGE_BYTES"]

DEFAULT_MAX_BATCH_BYTES = 10 * 1024 * 1024
"""A batch is sent when it holds this many bytes."""

DEFAULT_MAX_BATCH_SIZE_RECORDS = 5000
"""A batch is sent when it holds this many records."""

PYARROW_OUT_OF_RANGE_BYTES = 16 * 1024 * 1024
"""The record limit of Mosaico's SDK. Ours has none; the name stays for code that imports it."""
