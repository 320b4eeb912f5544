"""Readers of foreign recordings, and the way of a recording into a sequence.

A reader is a class with `name`, `description`, `sniff` and `open` (see `Reader`). Other packages add theirs:

```toml
[project.entry-points."mosaicolabs.readers"]
myformat = "my_package:MyReader"
```
"""

from ._merge import merge_in_time
from ._registry import READERS_GROUP, find_reader, load_reader, reader_names
from ._run import IngestResult, Progress, ingest
from ._types import Metadata, Reader, Recording, RecordingError, Skipped, TopicSpec

__all__ = [
    "READERS_GROUP",
    "IngestResult",
    "Metadata",
    "Progress",
    "Reader",
    "Recording",
    "RecordingError",
    "Skipped",
    "TopicSpec",
    "find_reader",
    "ingest",
    "load_reader",
    "merge_in_time",
    "reader_names",
]
