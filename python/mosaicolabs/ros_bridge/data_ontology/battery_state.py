"""The import path of Mosaico 0.2."""

from mosaicolabs.models.ros.battery_state import BatteryState

__all__ = ["BatteryState"]
