"""Fields shared by many data classes.

List a mixin after `Serializable` in the bases. Its columns are appended to the struct of the class
while the class is being defined: own columns first, then covariance or variance, then the header
(the mixin listed last comes first).
"""

from typing import Any

import pyarrow as pa

from mosaicolabs.models._arrow import append_columns, column
from mosaicolabs.models.base_model import BaseModel
from mosaicolabs.models.header import Header


class HeaderMixin(BaseModel):
    """Adds an optional time and frame.

    Attributes:
        header: When and in which frame the data was measured. None until a message fills it in.
    """

    header: Header | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        append_columns(cls, [column("header", Header.__msco_pyarrow_struct__, "Time and frame of the data.")])


class CovarianceMixin(BaseModel):
    """Adds an optional covariance matrix.

    Attributes:
        covariance: Square matrix, flattened row by row, in squared units of the fields. None: unknown.
        covariance_type: User-defined code for the meaning of the matrix. None: unknown.
    """

    covariance: list[float] | None = None
    covariance_type: int | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        append_columns(
            cls,
            [
                column("covariance", pa.list_(pa.float64()), "Covariance matrix, flattened row by row."),
                column("covariance_type", pa.int16(), "User-defined code for the meaning of the covariance."),
            ],
        )


class VarianceMixin(BaseModel):
    """Adds an optional variance of a scalar.

    Attributes:
        variance: In squared units of the value. None: unknown.
        variance_type: User-defined code for the meaning of the variance. None: unknown.
    """

    variance: float | None = None
    variance_type: int | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        append_columns(
            cls,
            [
                column("variance", pa.float64(), "Variance of the value."),
                column("variance_type", pa.int16(), "User-defined code for the meaning of the variance."),
            ],
        )
