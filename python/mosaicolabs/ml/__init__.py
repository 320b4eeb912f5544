"""Recordings as frames for analysis and training."""

from mosaicolabs.ml.data_frame_extractor import DataFrameExtractor
from mosaicolabs.ml.dataset import Signal, WindowDataset, WindowStream
from mosaicolabs.ml.lerobot import LerobotResult, export_lerobot
from mosaicolabs.ml.sync_policies import SyncAsOf, SyncDrop, SyncHold
from mosaicolabs.ml.sync_policy import SyncPolicy
from mosaicolabs.ml.sync_transformer import SyncTransformer

__all__ = [
    "DataFrameExtractor",
    "LerobotResult",
    "Signal",
    "SyncAsOf",
    "SyncDrop",
    "SyncHold",
    "SyncPolicy",
    "SyncTransformer",
    "WindowDataset",
    "WindowStream",
    "export_lerobot",
]
