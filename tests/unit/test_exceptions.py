"""The exception tree: builtin bases, stable codes, pickling; equal to the kinds of the Rust core."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mosaicolabs import IMU, MosaicoClient, Query, QueryTopic, exceptions
from mosaicolabs.exceptions import MosaicoError
from mosaicolabs.helpers import validate_sequence_name, validate_topic_name

CLASSES = [getattr(exceptions, name) for name in exceptions.__all__]
BUILTIN_BASES = {
    "NotFoundError": LookupError,
    "InvalidInputError": ValueError,
    "PermissionDeniedError": PermissionError,
    "FailedPreconditionError": RuntimeError,
    "ConnectionFailedError": ConnectionError,
    "DeadlineError": TimeoutError,
    "UnsupportedError": NotImplementedError,
    "ClosedError": ValueError,
    "DataLossError": OSError,
}
KINDS = Path(__file__).parents[2] / "rust" / "mosaico-types" / "src" / "error.rs"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_can_be_raised_and_caught(cls: type[MosaicoError]) -> None:
    for base in (cls, MosaicoError, BUILTIN_BASES.get(cls.__name__, Exception)):
        with pytest.raises(base) as raised:
            raise cls("topic `imu` is closed")
        assert str(raised.value) == raised.value.message == "topic `imu` is closed"
        assert raised.value.code == cls.codes[0]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_each_can_be_pickled(cls: type[MosaicoError]) -> None:
    for code in cls.codes:
        twin = pickle.loads(pickle.dumps(cls("text", code)))
        assert (type(twin), twin.message, twin.code, str(twin)) == (cls, "text", code, "text")


def test_builtin_bases_are_all_tested() -> None:
    own = {cls.__name__ for cls in CLASSES if len(cls.__bases__) > 1}
    assert own == set(BUILTIN_BASES)


def test_codes_are_those_of_the_core() -> None:
    core = re.findall(r'Self::\w+ => "(\w+)"', KINDS.read_text())
    ours = [code for cls in CLASSES if cls is not MosaicoError for code in cls.codes]
    assert len(core) >= 12
    assert sorted(ours) == sorted(core)


def test_operating_system_errors_do_not_interpret_the_text() -> None:
    error = exceptions.ConnectionFailedError("cannot reach it", "cancelled")
    assert (error.errno, error.code, str(error)) == (None, "cancelled", "cannot reach it")


def test_retryable_codes_are_those_of_the_core() -> None:
    source = KINDS.read_text()
    (kinds,) = re.findall(r"fn is_retryable.*?matches!\(self, (.*?)\)", source, re.DOTALL)
    of_kind = {
        kind: re.findall(r"Self::(\w+)", codes)
        for codes, kind in re.findall(r"(Self::[\w\s|:]+) =>\s*\{?\s*ErrorKind::(\w+)", source)
    }
    codes = dict(re.findall(r'Self::(\w+) => "(\w+)"', source))
    core = {codes[name] for kind in re.findall(r"Self::(\w+)", kinds) for name in of_kind[kind]}
    ours = {code for cls in CLASSES for code in cls.codes if cls("text", code).retryable}
    assert (
        core
        == ours
        == {
            "unavailable",
            "store_unavailable",
            "rows_on_other_daemon",
            "ownership_lost",
            "shutting_down",
            "timed_out",
        }
    )


@pytest.mark.parametrize(
    ("call", "builtin", "code"),
    [
        (lambda: validate_sequence_name("a b"), ValueError, "bad_name"),
        (lambda: validate_topic_name(""), ValueError, "bad_name"),
        (lambda: Query(QueryTopic(), QueryTopic()), ValueError, "bad_query"),
        (lambda: IMU.Q.acceleration.x.between(2.0, 1.0), ValueError, "bad_query"),
        (lambda: MosaicoClient(), RuntimeError, "failed_precondition"),
        (lambda: MosaicoClient.connect("127.0.0.1", 1), ConnectionError, "unavailable"),
    ],
)
def test_errors_of_the_python_layer_have_codes(
    call: Callable[[], object], builtin: type[Exception], code: str
) -> None:
    with pytest.raises(builtin) as raised:
        call()
    assert isinstance(raised.value, MosaicoError)
    assert raised.value.code == code
