"""What commands share: options, output, progress bars, exit codes.

Builds on the client and `ingest`; the command `mosaico` (`cli`) and that of the ROS injector build on it.
"""
