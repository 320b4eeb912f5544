"""Human-readable numbers."""

__all__ = ["count", "megabytes", "seconds", "span"]


def count(number: int) -> str:
    """A number with its thousands separated.

    Example:
        >>> count(29120)
        '29 120'
    """
    return f"{number:,}".replace(",", " ")


def megabytes(size_bytes: int) -> str:
    """A size in the unit that fits.

    Example:
        >>> megabytes(3_141_592), megabytes(20_480)
        ('3.1 MB', '20.5 kB')
    """
    unit, name = (1e6, "MB") if size_bytes >= 1e5 else (1e3, "kB")
    return f"{size_bytes / unit:,.1f} {name}".replace(",", " ")


def seconds(duration_ns: int) -> str:
    """A duration.

    Example:
        >>> seconds(145_600_000_000)
        '145.6 s'
    """
    return f"{duration_ns / 1e9:,.1f} s".replace(",", " ")


def span(low_ns: int | None, high_ns: int | None) -> str:
    """The time from the first to the last message."""
    return "no data" if low_ns is None or high_ns is None else seconds(high_ns - low_ns)
