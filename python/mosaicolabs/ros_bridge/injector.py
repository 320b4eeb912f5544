"""The ROS injector: from a bag to a sequence, as a class and as the command `mosaicolabs.ros_injector`."""

from typing import NoReturn

from mosaicolabs._terminal.run_command import run_command

from ._injector import RosbagInjector, ROSInjectionConfig
from ._injector_command import inject
from .progress import ProgressManager

__all__ = ["ProgressManager", "ROSInjectionConfig", "RosbagInjector", "ros_injector"]


def ros_injector() -> NoReturn:
    """Entry point of the console script."""
    run_command(inject, "mosaicolabs.ros_injector")
