"""Defining a data class: what is registered, and what each mistake raises."""

from typing import Any

import pyarrow as pa
import pytest

from mosaicolabs.helpers import (
    camel_to_snake,
    pack_topic_resource_name,
    sanitize_sequence_name,
    sanitize_topic_name,
    unpack_topic_full_path,
    validate_sequence_name,
    validate_topic_name,
)
from mosaicolabs.models import CovarianceMixin, HeaderMixin, Serializable, VarianceMixin
from mosaicolabs.models._schema import message_schema
from mosaicolabs.models.sensors import IMU

NUMBER = pa.struct([pa.field("number", pa.int32())])


class Counter(Serializable, HeaderMixin, CovarianceMixin):
    __msco_pyarrow_struct__ = NUMBER
    __ontology_tag__ = "test_counter"

    number: int


def test_registered_under_its_own_tag() -> None:
    assert Counter.ontology_tag() == "test_counter"
    assert Counter.is_registered()
    assert Serializable._is_registered("test_counter")
    assert Serializable._get_class_type("test_counter") is Counter
    assert Serializable._get_ontology_tag("Counter") == "test_counter"
    assert Serializable._get_ontology_tag("counter") is None
    assert Serializable._get_ontology_tag("counter", case_sensitive=False) == "test_counter"
    assert "test_counter" in Serializable._list_registered()
    assert Counter.__class_type__ is Counter


def test_mixin_columns_follow_the_own_ones() -> None:
    names = [field.name for field in Counter.__msco_pyarrow_struct__]
    assert names == ["number", "covariance", "covariance_type", "header"]
    assert NUMBER.num_fields == 1


def test_create_by_tag() -> None:
    assert Serializable._create("test_counter", number=3) == Counter(number=3)
    with pytest.raises(ValueError, match="no ontology class is registered as 'unheard_of'"):
        Serializable._create("unheard_of")


def test_the_base_itself_is_not_registered() -> None:
    assert not Serializable.is_registered()
    with pytest.raises(TypeError, match="no ontology tag"):
        Serializable.ontology_tag()


@pytest.mark.parametrize("struct", [None, "struct", pa.int32(), pa.schema([])])
@pytest.mark.parametrize("mixins", [(), (HeaderMixin,)])
def test_struct_of_none_is_refused(struct: Any, mixins: tuple[type, ...]) -> None:
    with pytest.raises(AttributeError, match="__msco_pyarrow_struct__"):
        define("NoStruct", (Serializable, *mixins), struct)


def test_a_struct_may_be_missing() -> None:
    class Structless(Serializable, HeaderMixin):
        number: int

    assert [field.name for field in Structless.__msco_pyarrow_struct__] == ["number", "header"]


def test_struct_with_another_name() -> None:
    with pytest.raises(TypeError, match="Schema mismatch in ontology class 'Misspelt'"):
        define("Misspelt", (Serializable,), pa.struct([pa.field("nummer", pa.int32())]))


def test_private_names_are_not_columns() -> None:
    class WithCache(Serializable):
        __msco_pyarrow_struct__ = NUMBER
        __ontology_tag__ = "test_with_cache"

        number: int
        _cache: int = 0

    assert WithCache(number=1)._cache == 0


@pytest.mark.parametrize("mixin", [HeaderMixin, CovarianceMixin, VarianceMixin])
def test_mixin_before_serializable(mixin: type) -> None:
    with pytest.raises(TypeError, match="list mixins after Serializable"):
        define("MixinFirst", (mixin, Serializable), NUMBER)


def test_tag_taken() -> None:
    with pytest.raises(
        ValueError, match=r"has the tag 'imu', which 'mosaicolabs\.models\.sensors\.imu\.IMU' already uses"
    ):
        define("Another", (Serializable,), NUMBER, __ontology_tag__="imu")


def test_subclass_without_a_tag_of_its_own() -> None:
    parent = define("TestParent", (Serializable,), NUMBER)
    with pytest.raises(ValueError, match="has the tag 'test_parent'"):
        type("TestChild", (parent,), {"__module__": __name__})


def test_subclass_with_the_mixin_of_its_parent() -> None:
    with pytest.raises(ValueError, match=r"already has the columns \['header'\]"):
        type("BetterIMU", (IMU,), {"__module__": __name__, "__ontology_tag__": "better_imu"})


def test_own_field_named_like_a_mixin_column() -> None:
    taken = pa.struct([pa.field("header", pa.int32())])
    with pytest.raises(ValueError, match=r"already has the columns \['header'\]"):
        define("OwnHeader", (Serializable, HeaderMixin), taken, field="header")


def test_a_refused_class_leaves_no_tag() -> None:
    before = Serializable._list_registered()
    with pytest.raises(TypeError):
        define("NeverThere", (Serializable,), pa.struct([]))
    assert Serializable._list_registered() == before


def test_mixin_of_mixins() -> None:
    class Stamped(HeaderMixin, VarianceMixin):
        pass

    cls = define("TestStamped", (Serializable, Stamped), NUMBER)
    names = [field.name for field in cls.__msco_pyarrow_struct__]
    assert names == ["number", "variance", "variance_type", "header"]


@pytest.mark.parametrize("name", ["timestamp_ns", "recording_timestamp_ns"])
def test_field_named_like_a_time_of_the_message(name: str) -> None:
    cls = define(f"TestClash{name}", (Serializable,), pa.struct([pa.field(name, pa.int32())]), field=name)
    with pytest.raises(ValueError, match=rf"\['{name}'\] .* named like columns of Message"):
        message_schema(cls)


def test_schema_of_the_base() -> None:
    with pytest.raises(ValueError, match="'Serializable' is not a data class"):
        message_schema(Serializable)


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("IMU", "imu"),
        ("Vector3d", "vector_3_d"),
        ("Integer8", "integer8"),
        ("NMEASentence", "nmea_sentence"),
        ("MyCustomSensor", "my_customsensor"),
        ("GPSStatus", "gps_status"),
        ("LidarPolar2DDetection", "lidar_polar_2_d_detection"),
        ("X1Y2", "x_1_y2"),
        ("MultiEchoLaserScan", "multi_echolaser_scan"),
        ("RGBDCamera", "rgbd_camera"),
    ],
)
def test_camel_to_snake(name: str, tag: str) -> None:
    assert camel_to_snake(name) == tag


@pytest.mark.parametrize("name", ["run-7", "/run_7", "7", "A"])
def test_good_sequence_names(name: str) -> None:
    validate_sequence_name(name)


@pytest.mark.parametrize("name", ["imu", "/sensors/imu", "sensors//imu/", "1/-"])
def test_good_topic_names(name: str) -> None:
    validate_topic_name(name)


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("", "Empty {kind} name"),
        ("/", "Empty {kind} name"),
        ("//a", "Malformed {kind} name"),
        ("-a", "does not begin with a letter or a number"),
        ("éa", "does not begin with a letter or a number"),
        ("a b", "{Kind} name contains invalid characters: ' '"),
        ("aé!", "{Kind} name contains invalid characters: '!', 'é'"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "check"), [("sequence", validate_sequence_name), ("topic", validate_topic_name)]
)
def test_bad_names(name: str, fragment: str, kind: str, check: Any) -> None:
    with pytest.raises(ValueError, match=fragment.format(kind=kind, Kind=kind.capitalize())):
        check(name)


def test_sequence_names_have_no_levels() -> None:
    with pytest.raises(ValueError, match="contains invalid characters: '/'"):
        validate_sequence_name("a/b")


def test_name_forms() -> None:
    assert sanitize_sequence_name("/a/") == "a"
    assert sanitize_topic_name("a//b/") == "/a/b"
    assert pack_topic_resource_name("/s", "/a//b/") == "s/a/b"
    assert unpack_topic_full_path("/s/a/b") == ("s", "/a/b")
    assert unpack_topic_full_path("/s/") is None


def define(
    name: str, bases: tuple[type, ...], struct: Any, *, field: str = "number", **attributes: Any
) -> type[Serializable]:
    """A class with one int field, of this struct."""
    body = {"__annotations__": {field: int}, "__module__": __name__, "__msco_pyarrow_struct__": struct}
    return type(name, bases, body | attributes)
