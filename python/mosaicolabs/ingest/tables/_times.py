"""Times of rows: numbers of a unit, timestamps, and ISO 8601 text."""

import pyarrow as pa
import pyarrow.compute as pc

_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def time_column(values: pa.Array, unit: str | None) -> pa.Array:
    """Times as nanoseconds since the Unix epoch, int64; null where the value is null or no time.

    Args:
        values: Whole or floating numbers, timestamps, dates, or ISO 8601 text; without a zone they are UTC.
        unit: Unit of numbers: `s`, `ms`, `us` or `ns`.

    Raises:
        ValueError: Numbers have no unit, the unit is unknown, or the type has no times.

    Example:
        >>> time_column(pa.array([1.5]), "s").to_pylist(), time_column(pa.array([7]), "us").to_pylist()
        ([1500000000], [7000])
        >>> time_column(pa.array(["2026-11-30T12:00:00+01:00", "soon"]), None).to_pylist()
        [1796036400000000000, None]
    """
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return values.cast(pa.timestamp("ns", getattr(kind, "tz", None))).cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pa.array([_parsed(text) for text in values.to_pylist()], pa.int64())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"columns of the type {kind} have no times")
    if unit not in _NS:
        raise ValueError(f"numbers need a unit, s, ms, us or ns{f', not `{unit}`' if unit else ''}")
    if pa.types.is_integer(kind):
        return pc.multiply_checked(values.cast(pa.int64()), _NS[unit])
    # Whole and fractional parts apart: the product would lose the nanoseconds of today's times.
    seconds = pc.floor(values.cast(pa.float64()))
    rest = pc.round(pc.multiply(pc.subtract(values.cast(pa.float64()), seconds), float(_NS[unit])))
    return pc.add_checked(pc.multiply_checked(seconds.cast(pa.int64()), _NS[unit]), rest.cast(pa.int64()))


def _parsed(text: str | None) -> int | None:
    if text is None:
        return None
    value = pa.scalar(text.strip().replace("/", "-"), pa.string())
    for kind in (pa.timestamp("ns"), pa.timestamp("ns", "UTC")):
        try:
            return int(value.cast(kind).cast(pa.int64()).as_py())
        except pa.ArrowInvalid:
            continue
    return None
