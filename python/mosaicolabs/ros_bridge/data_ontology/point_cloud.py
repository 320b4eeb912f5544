"""The name under which Mosaico has it."""

from mosaicolabs.models.ros.point_cloud import PointCloud2, PointField, PointFieldDataType

__all__ = ["PointCloud2", "PointField", "PointFieldDataType"]
