"""The policies of the package."""

from mosaicolabs.ml.sync_policies.hold import SyncAsOf, SyncDrop, SyncHold

__all__ = ["SyncAsOf", "SyncDrop", "SyncHold"]
