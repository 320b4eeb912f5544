"""Storage facts of a sequence or topic."""

from mosaicolabs._protocol.system_info import RowsElsewhere, SystemInfo

__all__ = ["RowsElsewhere", "SystemInfo"]
