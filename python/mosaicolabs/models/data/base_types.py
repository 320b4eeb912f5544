"""Single values: numbers of every width, a flag, text.

Widths matter for storage only: a number that does not fit is refused when the message is encoded.
"""

from typing import ClassVar

import pyarrow as pa
from pydantic import BaseModel, field_validator

from mosaicolabs.models._arrow import column
from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


def _payload(type_: pa.DataType) -> pa.StructType:
    return pa.struct([column("data", type_, "The value.", required=True)])


class _NotNegative(BaseModel):
    """Refuses negative values at construction."""

    data: int

    @field_validator("data")
    @classmethod
    def check_not_negative(cls, v: int) -> int:
        """Unsigned columns cannot store negative values; an error here points at the caller."""
        if v < 0:
            raise ValueError(f"{v} is negative; use a signed Integer class")
        return v


class Integer8(Serializable, HeaderMixin):
    """A signed integer of 8 bits.

    Attributes:
        data: -2^7 to 2^7 - 1.

    Example:
        >>> Integer8(data=-5).data
        -5
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.int8())

    data: int


class Integer16(Serializable, HeaderMixin):
    """A signed integer of 16 bits.

    Attributes:
        data: -2^15 to 2^15 - 1.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.int16())

    data: int


class Integer32(Serializable, HeaderMixin):
    """A signed integer of 32 bits.

    Attributes:
        data: -2^31 to 2^31 - 1.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.int32())

    data: int


class Integer64(Serializable, HeaderMixin):
    """A signed integer of 64 bits.

    Attributes:
        data: -2^63 to 2^63 - 1.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.int64())

    data: int


class Unsigned8(_NotNegative, Serializable, HeaderMixin):
    """An unsigned integer of 8 bits; a negative value is refused at construction.

    Attributes:
        data: 0 to 2^8 - 1.

    Example:
        >>> Unsigned8(data=5).ontology_tag()
        'unsigned8'
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.uint8())


class Unsigned16(_NotNegative, Serializable, HeaderMixin):
    """An unsigned integer of 16 bits; a negative value is refused at construction.

    Attributes:
        data: 0 to 2^16 - 1.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.uint16())


class Unsigned32(_NotNegative, Serializable, HeaderMixin):
    """An unsigned integer of 32 bits; a negative value is refused at construction.

    Attributes:
        data: 0 to 2^32 - 1.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.uint32())


class Unsigned64(_NotNegative, Serializable, HeaderMixin):
    """An unsigned integer of 64 bits; a negative value is refused at construction.

    Attributes:
        data: 0 to 2^64 - 1.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.uint64())


class Floating16(Serializable, HeaderMixin):
    """A float of 16 bits.

    Attributes:
        data: Kept with about 3 significant decimal digits.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.float16())

    data: float


class Floating32(Serializable, HeaderMixin):
    """A float of 32 bits.

    Attributes:
        data: Kept with about 7 significant decimal digits.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.float32())

    data: float


class Floating64(Serializable, HeaderMixin):
    """A float of 64 bits.

    Attributes:
        data: Kept with about 15 significant decimal digits.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.float64())

    data: float


class Boolean(Serializable, HeaderMixin):
    """A flag.

    Attributes:
        data: The flag.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.bool_())

    data: bool


class String(Serializable, HeaderMixin):
    """A text of up to 2 GiB per batch.

    Attributes:
        data: UTF-8 text.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.string())

    data: str


class LargeString(Serializable, HeaderMixin):
    """A text without limit of size.

    Attributes:
        data: UTF-8 text.
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = _payload(pa.large_string())

    data: str
