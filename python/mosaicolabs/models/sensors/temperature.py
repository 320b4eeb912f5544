"""Thermometers."""

from typing import ClassVar

import pyarrow as pa
from typing_extensions import Self

from mosaicolabs.models._arrow import column
from mosaicolabs.models.header import Header
from mosaicolabs.models.mixins import HeaderMixin, VarianceMixin
from mosaicolabs.models.serializable import Serializable

_ZERO_CELSIUS = 273.15
"""In kelvin."""


class Temperature(Serializable, HeaderMixin, VarianceMixin):
    """A temperature, stored in kelvin.

    Attributes:
        value: K.
        variance: K^2. The factories take it in this unit too: it is not converted.

    Example:
        >>> Temperature.from_celsius(value=20.0).value
        293.15
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [column("value", pa.float64(), "A temperature, K.", required=True)]
    )

    value: float

    @classmethod
    def from_celsius(
        cls,
        *,
        value: float,
        header: Header | None = None,
        variance: float | None = None,
        variance_type: int | None = None,
    ) -> Self:
        """From a value in degrees Celsius."""
        return cls(value=value + _ZERO_CELSIUS, header=header, variance=variance, variance_type=variance_type)

    @classmethod
    def from_fahrenheit(
        cls,
        *,
        value: float,
        header: Header | None = None,
        variance: float | None = None,
        variance_type: int | None = None,
    ) -> Self:
        """From a value in degrees Fahrenheit."""
        return cls(
            value=(value - 32.0) * 5.0 / 9.0 + _ZERO_CELSIUS,
            header=header,
            variance=variance,
            variance_type=variance_type,
        )

    def to_celsius(self) -> float:
        """The value in degrees Celsius."""
        return self.value - _ZERO_CELSIUS

    def to_fahrenheit(self) -> float:
        """The value in degrees Fahrenheit."""
        return (self.value - _ZERO_CELSIUS) * 9.0 / 5.0 + 32.0
