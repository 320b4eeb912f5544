"""Data classes of the later Mosaico line. They are imported when they are first used."""

from .laser import LaserScan, MultiEchoLaserScan

__all__ = ["LaserScan", "MultiEchoLaserScan"]
