"""The wire protocol: actions, answers and addresses, as typed Python values.

Knows the native client, enumerations and exceptions. Data classes, handlers and the client build on it; it
never imports them.
"""
