"""Writers of other formats, and the export of sequences to them.

A writer is a class with `name`, `description` and `plan` (see `Writer`). Other packages add theirs as entry
points:

```toml
[project.entry-points."mosaicolabs.writers"]
myformat = "my_package:MyWriter"
```
"""

from ._errors import ExportError, NotExported
from ._pipeline import ExportedPart, ExportResult, export
from ._registry import WRITERS_GROUP, load_writer, writer_names
from ._selection import SelectedTopic, Selection
from ._writer_api import Advance, ExportPlan, Part, Writer

__all__ = [
    "WRITERS_GROUP",
    "Advance",
    "ExportError",
    "ExportPlan",
    "ExportResult",
    "ExportedPart",
    "NotExported",
    "Part",
    "SelectedTopic",
    "Selection",
    "Writer",
    "export",
    "load_writer",
    "writer_names",
]
