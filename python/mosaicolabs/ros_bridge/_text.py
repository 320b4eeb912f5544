"""Texts of messages that are not UTF-8: they cost no other value of their message."""

import struct
from collections.abc import Callable
from typing import Any

# Stands for a byte that is not UTF-8 while the message is decoded; no text of a robot contains it.
_SUBSTITUTE = b"\x1a"


def decode_any_text(decode: Callable[[bytes], dict[str, Any]], raw: bytes) -> dict[str, Any]:
    r"""Decodes a message; bytes of texts that are not UTF-8 become `\xNN`, four characters.

    Example:
        >>> def decode(raw):
        ...     return {"name": raw[4:].decode()}
        >>> decode_any_text(decode, b"\3\0\0\0a\xe9b")
        {'name': 'a\\xe9b'}
    """
    texts: dict[str, str] = {}
    while True:
        try:
            message = decode(raw)
        except Exception as error:  # rosbags raises an error of its own from it
            wrong = error if isinstance(error, UnicodeDecodeError) else error.__cause__
            if not isinstance(wrong, UnicodeDecodeError):
                raise
            text = bytes(wrong.object)
            valid = _with_substitutes(text)
            patched = _replaced(raw, text, valid)
            if patched is None:
                raise
            raw = patched
            texts[valid.decode()] = text.decode("utf-8", "backslashreplace")
        else:
            restored: dict[str, Any] = _restored(message, texts) if texts else message
            return restored


def _with_substitutes(text: bytes) -> bytes:
    """Text of the same length that is UTF-8."""
    while True:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            wrong = error.end - error.start
            text = text[: error.start] + _SUBSTITUTE * wrong + text[error.end :]
        else:
            return text


def _replaced(raw: bytes, text: bytes, valid: bytes) -> bytes | None:
    """The message with another text of the same length, which is found by the number before it."""
    for length in (len(text), len(text) + 1):
        for order in "<>":
            head = struct.pack(f"{order}I", length)
            at = raw.find(head + text)
            if at >= 0:
                begin = at + len(head)
                return raw[:begin] + valid + raw[begin + len(text) :]
    return None


def _restored(value: Any, texts: dict[str, str]) -> Any:
    if isinstance(value, str):
        return texts.get(value, value)
    if isinstance(value, dict):
        return {key: _restored(item, texts) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], str | dict):
        return [_restored(item, texts) for item in value]
    return value
