"""The Rust core. Private: use the classes of `mosaicolabs` instead."""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Protocol, TypeAlias, final

from typing_extensions import Self, disjoint_base

__all__ = [
    "Appender",
    "Batches",
    "Client",
    "KeepAlive",
    "Lane",
    "LaneBudget",
    "MessageIterator",
    "Stream",
    "__version__",
    "after_fork_in_child",
    "finish_within",
    "run_daemon",
]

__version__: str

_DamagedRows: TypeAlias = tuple[str, str, tuple[int, int], tuple[int, int], int, str]

class _ArrowSchema(Protocol):
    def __arrow_c_schema__(self) -> object: ...

@final
class Client:
    @staticmethod
    def connect(
        addresses: list[tuple[str, int]],
        timeout_s: float,
        *,
        answer_timeout_s: float,
        tls: bool,
        ca: str | PathLike[str] | None,
        identity: tuple[str | PathLike[str], str | PathLike[str]] | None,
        api_key: str | None,
        allow_plain_text_key: bool,
    ) -> Client: ...
    @staticmethod
    def embedded(path: str | PathLike[str]) -> Client: ...
    def page_port(self, port: int) -> int | None: ...
    def server(self) -> str | None: ...
    def action(self, name: str, body: str) -> str | None: ...
    def recording_action(self, name: str, body: str, reconnect_timeout_s: float) -> str | None: ...
    def keep_alive(self, sequence: str, key: str) -> KeepAlive: ...
    def sequences(self) -> list[str]: ...
    def info(
        self, locator: str, start: int | None, end: int | None
    ) -> tuple[
        dict[str, str],
        list[
            tuple[
                str,
                bytes,
                tuple[int, int] | None,
                int | None,
                int | None,
                list[tuple[str, int | None, bool]],
            ]
        ],
        tuple[int, str, bool, int | None] | None,
    ]: ...
    def write(
        self,
        locator: str,
        key: str,
        schema: _ArrowSchema,
        data_class: type,
        *,
        max_batch_bytes: int,
        max_batch_records: int,
        max_batch_age_s: float,
        reconnect_timeout_s: float,
        budget: LaneBudget,
    ) -> Lane: ...
    def read(self, tickets: Sequence[bytes], read_ahead_bytes: int, skip_damaged: bool) -> Stream: ...
    def follow(
        self,
        locators: Sequence[str],
        tickets: Sequence[bytes],
        read_ahead_bytes: int,
        lateness_s: float,
        window: tuple[int | None, int | None],
        sequence: str | None,
        bind: Callable[[str, str | None], tuple[str, tuple[Any, ...]]],
        skip_damaged: bool,
    ) -> Stream: ...
    def batches(
        self,
        locators: Sequence[str],
        window: tuple[int | None, int | None],
        *,
        columns: Sequence[str] | None,
        condition: str | None,
        merged: bool,
        lateness_s: float | None,
        read_ahead_bytes: int,
        skip_damaged: bool,
    ) -> Batches: ...
    def close(self) -> None: ...

@final
class Batches:
    def next(self) -> Any | None: ...
    def __arrow_c_schema__(self) -> object: ...
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...
    def skipped(self) -> list[_DamagedRows]: ...
    def close(self) -> None: ...

@final
class KeepAlive:
    def stop(self) -> None: ...

@final
class LaneBudget:
    def __new__(
        cls, bytes: int, spill_folder: str | PathLike[str] | None = None, spill_bytes: int = 0
    ) -> LaneBudget: ...

@final
class Appender:
    def __new__(
        cls,
        lane: Lane,
        columns: Sequence[str],
        has_header: bool,
        notice: Callable[[], object],
        failed: Callable[[Exception], object],
    ) -> Appender: ...
    @property
    def columns(self) -> list[str]: ...
    def __call__(self, timestamp_ns: int, /, *values: Any) -> None: ...

@final
class Lane:
    def push(self, message: object) -> bool: ...
    def push_data(self, timestamp_ns: int, data: object, has_header: bool) -> bool: ...
    def push_batch(self, columns: object) -> bool: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...
    def stats(self) -> tuple[int, int, int, int]: ...
    def take_notices(self) -> list[str]: ...
    def check(self) -> None: ...

@final
class Stream:
    def tags(self) -> list[str | None]: ...
    def bind(
        self, message: tuple[Any, ...], names: Sequence[str], plans: Sequence[tuple[Any, ...]]
    ) -> None: ...
    def next(self) -> tuple[str, Any] | None: ...
    def next_timestamp(self) -> int | None: ...
    def skipped(self) -> list[_DamagedRows]: ...
    def close(self) -> None: ...

@disjoint_base
class MessageIterator:
    def __new__(cls, *_arguments: Any, **_keywords: Any) -> Self: ...
    def _read_from(self, stream: object | None, named: bool = False) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...

def run_daemon(arguments: Sequence[str]) -> int: ...
def after_fork_in_child() -> None: ...
def finish_within(seconds: int) -> None: ...
