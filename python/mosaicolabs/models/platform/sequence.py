"""A stored sequence."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import PrivateAttr
from typing_extensions import Self

from mosaicolabs.models.platform.platform_base import PlatformBase
from mosaicolabs.models.query.expressions import _QuerySequenceExpression
from mosaicolabs.models.query.generation.api import LazyQueryProxy
from mosaicolabs.models.query.generation.mappers import CatalogFieldMapper


class Sequence(PlatformBase):
    """Facts about a sequence. Created by handlers, not by users.

    Attributes:
        Q: Fields for queries: `Sequence.Q.user_metadata["site"].eq("north")`. Creation times are
            in ns since the Unix epoch.
    """

    Q: ClassVar[LazyQueryProxy] = LazyQueryProxy(
        CatalogFieldMapper(texts=("name",), times=("created_timestamp",)), _QuerySequenceExpression
    )

    _topics: list[str] = PrivateAttr(default_factory=list)

    @classmethod
    def _from_facts(
        cls,
        *,
        name: str,
        user_metadata: dict[str, Any],
        created_datetime: datetime,
        is_locked: bool,
        total_size_bytes: int,
        topics: list[str],
    ) -> Self:
        sequence = cls(user_metadata=user_metadata)
        sequence._name = name
        sequence._created_datetime = created_datetime
        sequence._is_locked = is_locked
        sequence._total_size_bytes = total_size_bytes
        sequence._topics = topics
        return sequence

    @property
    def topics(self) -> list[str]:
        """Names of its topics, each with a leading slash."""
        return self._topics
