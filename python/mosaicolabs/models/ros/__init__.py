"""Data classes of messages that only ROS has. Each is imported at first use."""
