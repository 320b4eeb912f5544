"""The stream as a dataset of torch; the only module that imports torch."""

from collections.abc import Iterator
from typing import Any, Protocol

from mosaicolabs.helpers.optional_packages import import_optional


class Stream(Protocol):
    """What `WindowStream` has."""

    def __iter__(self) -> Iterator[dict[str, Any]]: ...

    def set_epoch(self, epoch: int) -> None:
        """Begins an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues after a state."""


def torch_stream(stream: Stream) -> Any:
    """An `IterableDataset` that iterates over the stream and has its state."""
    base = import_optional("torch.utils.data", "for_torch()", "torch").IterableDataset
    cls = _class_of(base)
    return cls(stream)


_CLASSES: dict[type, type] = {}


def _class_of(base: type) -> type:
    if base not in _CLASSES:
        # Found by its name when a worker unpickles it.
        _CLASSES[base] = type("TorchWindowStream", (_Delegate, base), {"__reduce__": _reduce})
    return _CLASSES[base]


def _reduce(dataset: Any) -> tuple[Any, ...]:
    return torch_stream, (dataset.stream,)


class _Delegate:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.stream)

    def set_epoch(self, epoch: int) -> None:
        """See `WindowStream.set_epoch`."""
        self.stream.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """See `WindowStream.state_dict`."""
        return self.stream.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `WindowStream.load_state_dict`."""
        self.stream.load_state_dict(state)
