"""Readers of recordings in other formats, and their ingestion into sequences.

A reader is a class with `name`, `description`, `sniff` and `open` (see `Reader`). Other packages add theirs
as entry points:

```toml
[project.entry-points."mosaicolabs.readers"]
myformat = "my_package:MyReader"
```
"""

from ._dry_run import DryRun, dry_run
from ._merge import merge_in_time
from ._pipeline import Failures, IngestResult, Progress, TopicPolicies, ingest
from ._reader_api import (
    FailedMessage,
    Messages,
    Metadata,
    Reader,
    Recording,
    RecordingError,
    Skipped,
    TopicSpec,
)
from ._registry import READERS_GROUP, find_reader, load_reader, open_recording, reader_names

__all__ = [
    "READERS_GROUP",
    "DryRun",
    "FailedMessage",
    "Failures",
    "IngestResult",
    "Messages",
    "Metadata",
    "Progress",
    "Reader",
    "Recording",
    "RecordingError",
    "Skipped",
    "TopicPolicies",
    "TopicSpec",
    "dry_run",
    "find_reader",
    "ingest",
    "load_reader",
    "merge_in_time",
    "open_recording",
    "reader_names",
]
