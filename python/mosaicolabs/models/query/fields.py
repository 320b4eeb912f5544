"""Fields of messages by their path, without a class."""

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models._arrow import ENVELOPE_NAMES
from mosaicolabs.models.query.expressions import _QueryCatalogExpression
from mosaicolabs.models.query.generation.mixins import (
    _QueryableComparable,
    _QueryableDynamicValue,
    _QueryableTime,
)


def data_field(path: str) -> _QueryableComparable:
    """A field for conditions on values, columns and `where`, of a class that need not be known here.

    Args:
        path: Tag and column, with dots: `"px4.battery_status.voltage_v"`.

    Raises:
        ValueError: The path has no dot.

    Example:
        >>> data_field("px4.battery_status.voltage_v").lt(14.0)
        _QueryCatalogExpression({'px4.battery_status.voltage_v': {'$lt': 14.0}})
    """
    if not all(path.split(".")) or "." not in path:
        raise InvalidInputError(
            f"{path!r} is not a field; write tag and column, such as 'imu.acceleration.x'", "bad_query"
        )
    kind = _QueryableTime if path.rpartition(".")[2] in ENVELOPE_NAMES else _QueryableDynamicValue
    return kind(path, _QueryCatalogExpression)
