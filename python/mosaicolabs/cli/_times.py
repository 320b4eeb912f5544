"""Options that are times."""

import click

from mosaicolabs.handlers import SequenceHandler
from mosaicolabs.helpers.times import parse_time


def time_option(text: str | None, handler: SequenceHandler, option: str) -> int | None:
    """The value of an option, ns; None if it is not given.

    Raises:
        click.BadParameter: It is not a time.
    """
    if text is None:
        return None
    try:
        return parse_time(text, handler.timestamp_ns_min, handler.timestamp_ns_max)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
