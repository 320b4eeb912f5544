"""Data classes that exist because ROS has such messages. None is imported before it is used."""
