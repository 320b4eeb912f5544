"""Distance sensors with a single beam."""

from typing import ClassVar

import pyarrow as pa
from pydantic import model_validator
from typing_extensions import Self

from mosaicolabs.models._arrow import column
from mosaicolabs.models.mixins import HeaderMixin, VarianceMixin
from mosaicolabs.models.serializable import Serializable


class Range(Serializable, HeaderMixin, VarianceMixin):
    """One distance along the x axis of the sensor. Distances are stored with 32 bits.

    Attributes:
        radiation_type: Code of the measuring principle: 0 ultrasound, 1 infrared.
        field_of_view: Full opening angle of the beam, rad.
        min_range: Smallest measurable distance, m.
        max_range: Largest measurable distance, m.
        range: Measured distance, m, from `min_range` to `max_range`.

    Source: meanings and codes follow ROS `sensor_msgs/Range`.

    Example:
        >>> Range(radiation_type=0, field_of_view=0.5, min_range=0.2, max_range=4.0, range=1.5).range
        1.5
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            column("radiation_type", pa.uint8(), "Code of the measuring principle.", required=True),
            column("field_of_view", pa.float32(), "Opening angle of the beam, rad.", required=True),
            column("min_range", pa.float32(), "Smallest distance, m.", required=True),
            column("max_range", pa.float32(), "Largest distance, m.", required=True),
            column("range", pa.float32(), "Measured distance, m.", required=True),
        ]
    )

    radiation_type: int
    field_of_view: float
    min_range: float
    max_range: float
    range: float

    @model_validator(mode="after")
    def validate_min_and_max_range(self) -> Self:
        """The limits are in order."""
        if self.min_range > self.max_range:
            raise ValueError(f"min_range {self.min_range} is above max_range {self.max_range}; swap them")
        return self

    @model_validator(mode="after")
    def validate_range(self) -> Self:
        """The distance is measurable."""
        if not self.min_range <= self.range <= self.max_range:
            raise ValueError(
                f"range {self.range} is outside [{self.min_range}, {self.max_range}]; "
                "leave out readings that the sensor marks as out of range"
            )
        return self
