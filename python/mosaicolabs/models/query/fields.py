"""Fields of messages by their path, without a class."""

from mosaicolabs.exceptions import InvalidInputError
from mosaicolabs.models.query.expressions import _QueryCatalogExpression
from mosaicolabs.models.query.generation.mixins import _QueryableDynamicValue


def data_field(path: str) -> _QueryableDynamicValue:
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
    return _QueryableDynamicValue(path, _QueryCatalogExpression)
