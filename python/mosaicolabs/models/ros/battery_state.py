"""Batteries."""

from typing import ClassVar

import pyarrow as pa

from mosaicolabs.models.mixins import HeaderMixin
from mosaicolabs.models.serializable import Serializable


def _measured(name: str, key: str, value: str) -> pa.Field:
    return pa.field(name, pa.float32(), metadata={key: value})


class BatteryState(Serializable, HeaderMixin):
    """State of a power supply.

    Attributes:
        voltage: V.
        temperature: degrees Celsius. NaN or None: not measured; the same for the quantities below.
        current: A, negative while discharging.
        charge: Ah.
        capacity: Ah, last full capacity.
        design_capacity: Ah.
        percentage: Charge, 0 to 1.
        power_supply_status: 0 unknown, 1 charging, 2 discharging, 3 not charging, 4 full.
        power_supply_health: 0 unknown, 1 good, 2 overheat, 3 dead, 4 overvoltage, 5 unspecified failure,
            6 cold, 7 watchdog timer expired, 8 safety timer expired.
        power_supply_technology: 0 unknown, 1 NiMH, 2 Li-ion, 3 LiPo, 4 LiFe, 5 NiCd, 6 LiMn.
        present: Whether the battery is there.
        location: Slot or name.
        serial_number: Best approximation of it.
        cell_voltage: V per cell. None: cells are not known.
        cell_temperature: degrees Celsius per cell. None: cells are not known.

    Source: meanings and codes follow ROS `sensor_msgs/BatteryState`.

    Example:
        >>> battery = BatteryState(
        ...     voltage=12.5, temperature=None, current=-1.5, charge=None, capacity=None,
        ...     design_capacity=5.0, percentage=0.8, power_supply_status=2, power_supply_health=1,
        ...     power_supply_technology=3, present=True, location="bay 1", serial_number="7",
        ... )
        >>> battery.percentage
        0.8
    """

    __msco_pyarrow_struct__: ClassVar[pa.StructType] = pa.struct(
        [
            _measured("voltage", "unit", "V"),
            _measured("temperature", "unit", "C"),
            _measured("current", "unit", "A"),
            _measured("charge", "unit", "Ah"),
            _measured("capacity", "unit", "Ah"),
            _measured("design_capacity", "unit", "Ah"),
            _measured("percentage", "range", "0-1"),
            pa.field("power_supply_status", pa.uint8()),
            pa.field("power_supply_health", pa.uint8()),
            pa.field("power_supply_technology", pa.uint8()),
            pa.field("present", pa.bool_()),
            pa.field("location", pa.string()),
            pa.field("serial_number", pa.string()),
            pa.field("cell_voltage", pa.list_(pa.float32())),
            pa.field("cell_temperature", pa.list_(pa.float32())),
        ]
    )

    voltage: float
    temperature: float | None
    current: float | None
    charge: float | None
    capacity: float | None
    design_capacity: float | None
    percentage: float
    power_supply_status: int
    power_supply_health: int
    power_supply_technology: int
    present: bool
    location: str
    serial_number: str
    cell_voltage: list[float] | None = None
    cell_temperature: list[float] | None = None
