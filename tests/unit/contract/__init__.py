"""The recorded contract of the Python surface, as facts that are compared one by one."""
