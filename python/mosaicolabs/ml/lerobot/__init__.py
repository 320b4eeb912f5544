"""Datasets of LeRobot, version 3, from recordings."""

from mosaicolabs.ml.lerobot.export import LerobotResult, export_lerobot

__all__ = ["LerobotResult", "export_lerobot"]
