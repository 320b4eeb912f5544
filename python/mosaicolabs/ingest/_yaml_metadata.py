"""YAML files as metadata, also those that OpenCV wrote."""

import json
import math
import re
from pathlib import Path
from typing import Any

import yaml

from ._reader_api import Skipped


class _Loader(yaml.SafeLoader):
    """Reads the values of any tag, such as `!!opencv-matrix`, by their form."""


def _untagged(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return str(node.value)


_Loader.add_multi_constructor("", _untagged)  # the last resort, for every tag without a constructor


def read_yaml(path: Path, skipped: list[Skipped]) -> dict[str, Any]:
    r"""The mapping in `path`, as JSON types; empty if the file does not exist.

    Numbers that JSON lacks become text (`"nan"`, `"inf"`). The text of a file that is not a mapping in YAML
    is kept under the name of the file, and the reason is appended to `skipped`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "sensor.yaml"
        ...     _ = file.write_text("%YAML:1.0\n---\nbias: .nan\nT: !!opencv-matrix\n  data: [1., 0.]\n")
        ...     read_yaml(file, [])
        {'bias': 'nan', 'T': {'data': [1.0, 0.0]}}
    """
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8-sig", errors="backslashreplace")
    try:
        # OpenCV writes `%YAML:1.0`, which is not a valid YAML directive.
        content = yaml.load(re.sub(r"\A%YAML:.*\n(---.*\n)?", "", text), _Loader)  # noqa: S506 - a SafeLoader
        document = json.loads(json.dumps(_plain({} if content is None else content), default=str))
        if not isinstance(document, dict):
            raise ValueError(f"a mapping was expected, found {type(document).__name__}")
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        source = f"{path.parent.name}/{path.name}"
        skipped.append(Skipped(source, 0, f"stored as text, since it is not readable as YAML: {problem}"))
        return {path.name: text}
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
