"""Data with the columns of a schema instead of a class."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mosaicolabs import GenericStruct, Message, Serializable, Vector3d, data_field, generic_class
from mosaicolabs.models.generic import stored_class

SCHEMA = pa.schema(
    {
        "timestamp_ns": pa.int64(),
        "voltage_v": pa.float64(),
        "cells": pa.list_(pa.struct([("v", pa.float32()), ("id", pa.int8())])),
        "pose": pa.struct([("position", pa.struct([("x", pa.float64()), ("_y", pa.int32())]))]),
        "copy": pa.string(),
        "model_fields": pa.int8(),
        "class": pa.int8(),
    }
)
Battery = generic_class("test.battery", SCHEMA)
CELLS = [{"v": 1.5, "id": 3}, None]


def full() -> Any:
    values = {"voltage_v": 12.5, "cells": CELLS, "pose": {"position": {"x": 1.0}}, "copy": "none", "class": 3}
    return Battery(**values)


def test_columns_are_attributes_whatever_their_names() -> None:
    data = full()
    assert (data.voltage_v, data.cells[0].v, data.pose.position.x) == (12.5, 1.5, 1.0)
    assert (data.copy, getattr(data, "class"), data.pose.position._y) == ("none", 3, None)
    assert repr(data).startswith(
        "test.battery(voltage_v=12.5, cells=[GenericStruct(v=1.5, id=3), None], pose="
    )
    data.voltage_v = 11.0
    assert data.voltage_v == 11.0
    with pytest.raises(AttributeError, match="cannot be removed"):
        del data.voltage_v


def test_dicts() -> None:
    data = full()
    assert list(dict(data)) == ["voltage_v", "cells", "pose", "copy", "model_fields", "class"]
    dumped = data.model_dump()
    assert dumped["cells"] == CELLS
    assert dumped["pose"] == {"position": {"x": 1.0, "_y": None}}
    assert type(data)(**dumped) == data
    assert type(data).model_validate(dumped) == data


def test_equal_if_tag_and_values_are() -> None:
    data, other = full(), full()
    assert data == other
    other.cells[0].v = 2.0
    assert data != other
    described = [field.with_metadata({"description": "d"}) for field in SCHEMA]
    cls = generic_class("test.battery", pa.schema(described))
    assert cls is not Battery
    assert cls(**full().model_dump()) == data
    assert generic_class("test.other", SCHEMA)(**full().model_dump()) != data
    assert generic_class("test.battery", pa.struct(list(SCHEMA))) is Battery


def test_objects_of_classes_and_arrays_become_what_is_read() -> None:
    plain = pa.struct([(name, pa.float64()) for name in "xyz"])
    cls = generic_class(
        "test.at", pa.schema({"at": plain, "m": pa.list_(pa.list_(pa.int64())), "l": pa.list_(pa.int64())})
    )
    data: Any = cls(at={"x": 1.0, "y": 2.0, "z": 3.0}, m=np.array([[1, 2]]), l=(1, 2))
    assert data.at == GenericStruct(x=1.0, y=2.0, z=3.0)
    assert data.m == [[1, 2]]
    assert data.l == [1, 2]
    with pytest.raises(TypeError, match=r"test\.at\.at has no column 'covariance'"):
        cls(at=Vector3d(x=1.0, y=2.0, z=3.0))


def test_copies() -> None:
    data = full()
    for copied in (copy.copy(data), copy.deepcopy(data), data.model_copy(), pickle.loads(pickle.dumps(data))):
        assert copied == data
        assert type(copied) is Battery
    deep = copy.deepcopy(data)
    deep.cells[0].v = 0.0
    assert data.cells[0].v == 1.5


def test_pickled_for_a_process_that_has_not_made_the_class(tmp_path: Path) -> None:
    messages = [Message(timestamp_ns=5, data=full())] * 3
    pickled = tmp_path / "messages"
    pickled.write_bytes(pickle.dumps(messages))
    read = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb'))[2].data.cells[0])"
    out = subprocess.run([sys.executable, "-c", read, pickled], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "v=1.5 id=3"


@pytest.mark.parametrize(
    ("mistake", "error"),
    [
        (lambda: Battery(voltage=1.0), "has no column 'voltage'; did you mean 'voltage_v'"),
        (lambda: Battery(pose={"pos": {}}), r"battery\.pose has no column 'pos'; did you mean 'position'"),
        (lambda: full().voltage, "has no column 'voltage'; did you mean 'voltage_v'"),
        (lambda: setattr(full(), "speed", 1), "has no column 'speed'; it has: voltage_v, cells"),
        (lambda: full().pose.z, "GenericStruct has no column 'z'; it has: position"),
        (lambda: generic_class("", SCHEMA), "ontology tag is empty"),
        (lambda: generic_class("t", {"a": pa.int8()}), "schema is a pyarrow.Schema"),  # type: ignore[arg-type]
        (lambda: generic_class("imu", SCHEMA), r"tag 'imu' belongs to the class 'mosaicolabs\..*IMU'"),
        (lambda: generic_class("joy", SCHEMA), "tag 'joy' belongs to the class"),
        (
            lambda: generic_class("t", pa.schema([("a", pa.int8()), ("a", pa.int8())])),
            "more than one column named 'a'",
        ),
        (lambda: Battery.Q.voltage, "no field 'voltage'; did you mean 'voltage_v'"),
        (lambda: data_field("voltage_v"), "'voltage_v' is not a field"),
    ],
)
def test_mistakes(mistake: Any, error: str) -> None:
    with pytest.raises((TypeError, AttributeError, ValueError), match=error):
        mistake()


def test_fields_for_queries() -> None:
    condition = Battery.Q.pose.position.x.gt(1.0)
    assert condition.to_dict() == {"test.battery.pose.position.x": {"$gt": 1.0}}
    assert Battery.Q["pose.position._y"].eq(1).to_dict() == {"test.battery.pose.position._y": {"$eq": 1}}
    assert data_field("test.battery.cells.v").lt(1).to_dict() == {"test.battery.cells.v": {"$lt": 1}}


def test_a_class_that_is_defined_later_takes_the_tag() -> None:
    struct = pa.struct([pa.field("value", pa.int32())])
    early = generic_class("test_late_class", struct)
    assert not Serializable._is_registered("test_late_class")

    class TestLateClass(Serializable):
        __ontology_tag__ = "test_late_class"
        __msco_pyarrow_struct__ = struct
        value: int

    assert Serializable._get_class_type("test_late_class") is TestLateClass
    with pytest.raises(ValueError, match="belongs to the class"):
        generic_class("test_late_class", struct)
    assert stored_class("test_late_class", struct) is early
