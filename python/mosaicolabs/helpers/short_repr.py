"""`repr` of values of any size in at most a few lines."""

from typing import Any

_ITEMS = 16
_SHOWN = 3
_CHARACTERS = 200
_BYTES = 64


class ShortRepr:
    """Stands for a value; its `repr` is that of the value, abbreviated if that is long."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return short_repr(self._value)


def short_repr(value: Any) -> str:
    """The `repr` of a value; of long bytes, texts and collections, the beginning and the size.

    Example:
        >>> short_repr(b"picture!" * 115200)
        "b'picture!'... (921600 bytes)"
        >>> short_repr([0.5] * 640)
        '[0.5, 0.5, 0.5, ... 640 items]'
        >>> short_repr([1, None])
        '[1, None]'
    """
    if isinstance(value, bytes | bytearray | memoryview) and len(value) > _BYTES:
        return f"{bytes(value[:8])!r}... ({len(value)} bytes)"
    if isinstance(value, str) and len(value) > _CHARACTERS:
        return f"{value[: _CHARACTERS // 2]!r}... ({len(value)} characters)"
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        opening, closing = "[]" if isinstance(value, list) else "()"
        few = len(value) <= _ITEMS
        items = [short_repr(item) for item in (value if few else value[:_SHOWN])]
        end = ("," if closing == ")" and len(value) == 1 else "") if few else f", ... {len(value)} items"
        return f"{opening}{', '.join(items)}{end}{closing}"
    if type(value) is dict:
        few = len(value) <= _ITEMS
        pairs = [
            f"{key!r}: {short_repr(item)}" for key, item in list(value.items())[: None if few else _SHOWN]
        ]
        return "{" + ", ".join(pairs) + ("" if few else f", ... {len(value)} entries") + "}"
    return repr(value)
