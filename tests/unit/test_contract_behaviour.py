"""Recorded behaviour of the Python surface beyond signatures."""

import json
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract import api, ontologies
from contract.facts import MISSING, load

import mosaicolabs
from mosaicolabs import IMU, MosaicoClient, QueryOntologyCatalog
from mosaicolabs.comm.target import DEFAULT_PORT
from mosaicolabs.helpers import camel_to_snake
from mosaicolabs.models import CovarianceMixin, HeaderMixin, Message, Serializable, VarianceMixin
from mosaicolabs.models.data import Integer8

DATA_CLASSES = [
    pytest.param(entry, id=entry["class"])
    for entry in ontologies.ONTOLOGIES["ontologies"]
    if load(ontologies.path_of(entry)) is not MISSING
]
ENUMS = [path for path, entry in api.DEFINITIONS.items() if entry["kind"] == "enum"]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("IMU", "imu"),
        ("MyCustomSensor", "my_customsensor"),
        ("Vector3d", "vector_3_d"),
        ("GPSStatus", "gps_status"),
        ("Integer8", "integer8"),
        ("LidarPolar2DDetection", "lidar_polar_2_d_detection"),
        ("NMEASentence", "nmea_sentence"),
        ("X1Y2", "x_1_y2"),
    ],
)
def test_tags_of_class_names_never_change(name: str, tag: str) -> None:
    assert camel_to_snake(name) == tag


def test_star_import_keeps_the_builtin_range() -> None:
    namespace: dict[str, Any] = {}
    exec("from mosaicolabs.models.sensors import *", namespace)  # the statement is the subject
    assert "IMU" in namespace
    assert "range" not in namespace


def test_logging_config_is_a_module() -> None:
    assert mosaicolabs.logging_config.get_logger is mosaicolabs.get_logger


def test_mixins_append_their_columns() -> None:
    bases = {"HeaderMixin": HeaderMixin, "CovarianceMixin": CovarianceMixin, "VarianceMixin": VarianceMixin}
    for entry in ontologies.ONTOLOGIES["mixins"]:
        struct = {"__msco_pyarrow_struct__": pa.struct([]), "__module__": __name__}
        cls: Any = type(f"Contract{entry['class']}", (Serializable, bases[entry["class"]]), struct)
        facts = ontologies.column_facts(
            entry["class"], entry["arrow_fields"], list(cls.__msco_pyarrow_struct__)
        )
        assert [str(fact) for fact in facts if not fact.holds] == []


def test_message_is_keyword_only_and_ignores_unknown_keywords() -> None:
    data = Integer8(data=1)
    with pytest.raises(TypeError):
        Message(data, 5)  # type: ignore[call-arg]
    assert not hasattr(Message(data=data, timestamp_ns=5, unknown=1), "unknown")


def test_the_constructor_of_the_client_is_refused() -> None:
    with pytest.raises(RuntimeError, match="connect"):
        MosaicoClient()  # type: ignore[call-arg]


@pytest.mark.parametrize("entry", DATA_CLASSES)
def test_first_level_names_of_queries(entry: dict[str, Any]) -> None:
    cls = load(ontologies.path_of(entry))
    leaves = entry["query_fields"]["leaves"]
    theirs = {leaf.split(".")[0] for leaf, family in leaves.items() if not family.startswith("unsupported")}
    columns = {column["name"]: column for column in entry["arrow_schema"]}
    lists = {name for name, column in columns.items() if "list" in column["type"]}
    assert set(cls.Q.queryable_fields) == theirs | lists
    assert set(dir(cls.Q)) == {"timestamp_ns", "recording_timestamp_ns", "queryable_fields", *columns}


@pytest.mark.parametrize("path", [path for path in ENUMS if load(path) is not MISSING])
def test_enums_are_text_where_they_were(path: str) -> None:
    cls: Any = load(path)
    bases = api.DEFINITIONS[path]["bases"]
    assert issubclass(cls, str) == (bases != ["Enum"])
    assert issubclass(cls, Enum)
    if bases == ["StrEnum"]:
        assert [f"{member}" for member in cls] == [member.value for member in cls]


def test_comparisons_of_fields_work_or_say_what_to_write() -> None:
    assert QueryOntologyCatalog(IMU.Q.acceleration.x > 1.0).to_dict() == {"imu.acceleration.x": {"$gt": 1.0}}
    with pytest.raises(TypeError, match=r"\.eq\(1\.0\)"):
        QueryOntologyCatalog(IMU.Q.acceleration.x == 1.0)


def test_there_is_one_default_port() -> None:
    assert DEFAULT_PORT == 6726
    sources = (Path(mosaicolabs.__file__).parent).rglob("*.py")
    ports = {port for path in sources for port in re.findall(r"\b6[27][267]\d\b", path.read_text())}
    assert ports == {"6726", "6727"}


LATER_NAMES = {
    *("TopicLevelErrorPolicy", "LoaderErrorPolicy", "ROSLoader", "register_default_adapter"),
    *("LaserScan", "MultiEchoLaserScan", "Lidar", "Radar", "RGBDCamera", "ToFCamera", "StereoCamera"),
    *("PointCloud2", "PointField", "LaserScanAdapter", "MultiEchoLaserScanAdapter", "PointCloudAdapter"),
    *("PointCloudAdapterBase", "LidarAdapter", "RadarAdapter", "RGBDCameraAdapter", "ToFCameraAdapter"),
    *("StereoCameraAdapter", "JoyAdapter", "MagneticFieldAdapter", "StatefulDecodingSession"),
}
"""What was taken over from the later line."""


def test_names_of_the_later_line_are_where_it_has_them(shared: Path) -> None:
    modules = json.loads((shared / "contract/api-0.4.0.json").read_text())["modules"]
    places = {
        name: [module for module, entry in modules.items() if name in entry.get("exports", entry)]
        for name in LATER_NAMES
    }
    assert places["TopicLevelErrorPolicy"] == ["mosaicolabs", "mosaicolabs.enum"]
    assert all(places.values())
    missing = [
        f"{module}.{name}"
        for name, exporting in places.items()
        for module in exporting
        if load(f"{module}.{name}") is MISSING
    ]
    assert missing == []


def test_platform_models_are_at_the_top() -> None:
    assert mosaicolabs.Sequence.Q.user_metadata["site"].eq("north").value == "north"
    assert mosaicolabs.Topic.Q.ontology_tag.eq("imu").value == "imu"
