"""Streams of messages and batches: opening, schemas, conversions, progress, ordered work in threads.

Builds on `_protocol` and the data classes; handlers, client and readers build on it.
"""
