"""Storage facts of a sequence or topic."""

from mosaicolabs._protocol.system_info import RemoteRows, SystemInfo

__all__ = ["RemoteRows", "SystemInfo"]
