"""Windows of recordings as arrays, for training."""

from mosaicolabs.ml.dataset.signal import ImageSize, Signal
from mosaicolabs.ml.dataset.window_dataset import WindowDataset
from mosaicolabs.ml.dataset.window_stream import WindowStream

__all__ = ["ImageSize", "Signal", "WindowDataset", "WindowStream"]
