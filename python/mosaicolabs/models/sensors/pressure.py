"""Barometers and other pressure sensors."""

from typing import ClassVar

import pyarrow as pa
from typing_extensions import Self

from mosaicolabs.models._arrow import column
from mosaicolabs.models.header import Header
from mosaicolabs.models.mixins import HeaderMixin, VarianceMixin
from mosaicolabs.models.serializable import Serializable

_ATMOSPHERE = 101325.0
_BAR = 100000.0
_PSI = 6894.7572931783


class Pressure(Serializable, HeaderMixin, VarianceMixin):
    """A pressure, stored in pascal.

    Attributes:
        value: Pa.
        variance: Pa^2. The factories take it in this unit too: it is not converted.

    Example:
        >>> Pressure.from_bar(value=1.0).value
        100000.0
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [column("value", pa.float64(), "A pressure, Pa.", required=True)]
    )

    value: float

    @classmethod
    def from_atm(
        cls,
        *,
        value: float,
        header: Header | None = None,
        variance: float | None = None,
        variance_type: int | None = None,
    ) -> Self:
        """From a value in standard atmospheres."""
        return cls(value=value * _ATMOSPHERE, header=header, variance=variance, variance_type=variance_type)

    @classmethod
    def from_bar(
        cls,
        *,
        value: float,
        header: Header | None = None,
        variance: float | None = None,
        variance_type: int | None = None,
    ) -> Self:
        """From a value in bar."""
        return cls(value=value * _BAR, header=header, variance=variance, variance_type=variance_type)

    @classmethod
    def from_psi(
        cls,
        *,
        value: float,
        header: Header | None = None,
        variance: float | None = None,
        variance_type: int | None = None,
    ) -> Self:
        """From a value in pounds per square inch."""
        return cls(value=value * _PSI, header=header, variance=variance, variance_type=variance_type)

    def to_atm(self) -> float:
        """The value in standard atmospheres."""
        return self.value / _ATMOSPHERE

    def to_bar(self) -> float:
        """The value in bar."""
        return self.value / _BAR

    def to_psi(self) -> float:
        """The value in pounds per square inch."""
        return self.value / _PSI
