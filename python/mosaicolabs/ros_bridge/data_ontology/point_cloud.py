"""The import path of Mosaico 0.2."""

from mosaicolabs.models.ros.point_cloud import PointCloud2, PointField, PointFieldDataType

__all__ = ["PointCloud2", "PointField", "PointFieldDataType"]
