"""Files of rows and columns: CSV, JSON lines, Parquet, Arrow, NumPy."""

from ._columnar import open_columnar
from ._csv import open_csv
from ._json_lines import open_json_lines
from ._mapping import Column, Mapping, command_line_mapping, mapping_file
from ._source import Source, storable
from ._times import time_column

__all__ = [
    "Column",
    "Mapping",
    "Source",
    "command_line_mapping",
    "mapping_file",
    "open_columnar",
    "open_csv",
    "open_json_lines",
    "storable",
    "time_column",
]
