"""The name under which Mosaico has it."""

from mosaicolabs.models.ros.battery_state import BatteryState

__all__ = ["BatteryState"]
