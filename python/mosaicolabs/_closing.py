"""`with` for everything that is closed at the end of its block."""

from abc import ABC, abstractmethod
from types import TracebackType

from typing_extensions import Self


class Closing(ABC):
    """Closed when its `with` block ends, whatever ends it."""

    @abstractmethod
    def close(self) -> None:
        """Releases what it holds; safe to call repeatedly."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()
