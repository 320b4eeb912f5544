"""A bool that may also be called: older code calls the method that is an attribute today."""


class CallableBool(int):
    """True or False; calling it gives the plain bool.

    Example:
        >>> open_ = CallableBool(True)
        >>> open_ == True, open_(), not open_
        (True, True, False)
    """

    def __new__(cls, value: bool) -> "CallableBool":
        return super().__new__(cls, bool(value))

    def __call__(self) -> bool:
        """The plain bool."""
        return bool(self)

    def __repr__(self) -> str:
        return repr(bool(self))
