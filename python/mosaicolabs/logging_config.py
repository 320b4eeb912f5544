"""Logging of the package: silent until the application enables it."""

import logging
import sys
from typing import TYPE_CHECKING

from mosaicolabs._printable import printable

if TYPE_CHECKING:
    from rich.console import Console

ROOT_LOGGER_NAME = "mosaicolabs"

RICH_AVAILABLE = True
"""Kept for callers that test it: rich is a dependency of this package."""

logging.getLogger(ROOT_LOGGER_NAME).addHandler(logging.NullHandler())


def get_logger(name: str | None = None) -> logging.Logger:
    """The logger of exactly this name; without a name, the root logger of the package.

    Example:
        >>> get_logger().name, get_logger("mosaicolabs.models").name
        ('mosaicolabs', 'mosaicolabs.models')
    """
    return logging.getLogger(ROOT_LOGGER_NAME if name is None else name)


def setup_sdk_logging(
    level: int | str = "INFO",
    pretty: bool = False,
    console: "Console | None" = None,
    propagate: bool = False,
) -> None:
    """Shows the log of the package on stderr; replaces the handlers of an earlier call.

    Args:
        level: Name or number of the lowest level shown.
        pretty: Coloured output by rich instead of plain lines `time [LEVEL] name: message`.
        console: Where pretty output goes; by default a new console on stderr.
        propagate: Whether records also reach the handlers of the application's root logger.
    """
    logger = get_logger()
    numeric_level = level.upper() if isinstance(level, str) else level
    logger.setLevel(numeric_level)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(_rich_handler(console) if pretty else _plain_handler())
    logger.propagate = propagate
    logger.info("logging of %s set to %s", ROOT_LOGGER_NAME, numeric_level)


class _PrintableFormatter(logging.Formatter):
    """Messages may contain recorded text."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _plain_handler() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_PrintableFormatter("%(asctime)s [%(levelname)s] %(name)s: %(message)s"))
    return handler


def _rich_handler(console: "Console | None") -> logging.Handler:
    # It takes long to import, and most programs log plain lines or nothing.
    from rich.logging import RichHandler

    from mosaicolabs._safe_console import SafeConsole

    handler = RichHandler(console=console or SafeConsole(stderr=True), show_path=False)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    return handler
