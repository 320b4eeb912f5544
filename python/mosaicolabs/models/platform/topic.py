"""A stored topic."""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import PrivateAttr
from typing_extensions import Self

from mosaicolabs.models.platform.platform_base import PlatformBase
from mosaicolabs.models.query.expressions import _QueryTopicExpression
from mosaicolabs.models.query.generation.api import LazyQueryProxy
from mosaicolabs.models.query.generation.mappers import CatalogFieldMapper


class Topic(PlatformBase):
    """Facts about a topic. Created by handlers, not by users.

    Attributes:
        Q: Fields for queries: `Topic.Q.ontology_tag.in_("imu", "gps")`. Creation times are
            in ns since the Unix epoch.
    """

    Q: ClassVar[LazyQueryProxy] = LazyQueryProxy(
        CatalogFieldMapper(
            texts=("name", "ontology_tag", "serialization_format"), times=("created_timestamp",)
        ),
        _QueryTopicExpression,
    )

    _sequence_name: str = PrivateAttr()
    _ontology_tag: str = PrivateAttr()
    _serialization_format: str = PrivateAttr()
    _chunks_number: int | None = PrivateAttr(default=None)

    @classmethod
    def _from_facts(
        cls,
        *,
        name: str,
        sequence_name: str,
        user_metadata: dict[str, Any],
        created_datetime: datetime,
        is_locked: bool,
        total_size_bytes: int,
        ontology_tag: str,
        serialization_format: str,
        chunks_number: int | None,
    ) -> Self:
        topic = cls(user_metadata=user_metadata)
        topic._name = name
        topic._sequence_name = sequence_name
        topic._created_datetime = created_datetime
        topic._is_locked = is_locked
        topic._total_size_bytes = total_size_bytes
        topic._ontology_tag = ontology_tag
        topic._serialization_format = serialization_format
        topic._chunks_number = chunks_number
        return topic

    @property
    def sequence_name(self) -> str:
        """The sequence it belongs to."""
        return self._sequence_name

    @property
    def ontology_tag(self) -> str:
        """Tag of the class of its messages."""
        return self._ontology_tag

    @property
    def serialization_format(self) -> str:
        """Storage profile, a value of `SerializationFormat`."""
        return self._serialization_format

    @property
    def chunks_number(self) -> int | None:
        """Number of chunks in the store. None: the server does not report it."""
        return self._chunks_number
