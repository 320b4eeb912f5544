"""Lets the reference show `Example:` sections, which doctest runs, as highlighted sessions."""

import re
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Griffe reads sessions only below a title of its own choice, `Examples:`."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Renames the section in each docstring."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
