"""Limits of a connection, under the names that older code imports."""

__all__ = ["DEFAULT_MAX_BATCH_BYTES", "DEFAULT_MAX_BATCH_SIZE_RECORDS", "PYARROW_OUT_OF_RANGE_BYTES"]

DEFAULT_MAX_BATCH_BYTES = 10 * 1024 * 1024
"""Size at which a batch is sent, bytes."""

DEFAULT_MAX_BATCH_SIZE_RECORDS = 5000
"""Number of messages at which a batch is sent."""

PYARROW_OUT_OF_RANGE_BYTES = 16 * 1024 * 1024
"""Record limit of the Mosaico 0.2 SDK. Not used here; the name stays for code that imports it."""
