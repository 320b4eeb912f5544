"""Facts common to sequences and topics."""

from datetime import datetime
from typing import Any

from pydantic import PrivateAttr

from mosaicolabs.models.base_model import BaseModel


class PlatformBase(BaseModel):
    """A snapshot of facts; it does not follow later changes.

    Attributes:
        user_metadata: Metadata that the user attached at creation.
    """

    user_metadata: dict[str, Any]

    _name: str = PrivateAttr()
    _created_datetime: datetime = PrivateAttr()
    _is_locked: bool = PrivateAttr(default=False)
    _total_size_bytes: int = PrivateAttr()

    @property
    def name(self) -> str:
        """The name as readers spell it."""
        return self._name

    @property
    def created_datetime(self) -> datetime:
        """Creation time, UTC."""
        return self._created_datetime

    @property
    def is_locked(self) -> bool:
        """Whether it is complete and immutable."""
        return self._is_locked

    @property
    def total_size_bytes(self) -> int:
        """Size in the store, bytes."""
        return self._total_size_bytes
