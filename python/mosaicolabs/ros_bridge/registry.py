"""Registry of definitions of message types, for bags that do not contain them."""

from pathlib import Path
from typing import ClassVar

from rosbags.typesys import Stores

Scope = Stores | str | None


class ROSTypeRegistry:
    """Message definitions by type name, for all distributions or for one. Never instantiated.

    A loader uses them if a bag does not contain the definition of a type, as bags of ROS 2 before Iron do
    not.

    Example:
        >>> ROSTypeRegistry.register("my_msgs/msg/Speed", "float64 rpm")
        >>> ROSTypeRegistry.register("my_msgs/msg/Speed", "float32 rpm", Stores.ROS2_FOXY)
        >>> ROSTypeRegistry.get_types("ros2_foxy"), ROSTypeRegistry.get_types(Stores.ROS2_HUMBLE)
        ({'my_msgs/msg/Speed': 'float32 rpm'}, {'my_msgs/msg/Speed': 'float64 rpm'})
        >>> ROSTypeRegistry.reset()
    """

    _types: ClassVar[dict[str | None, dict[str, str]]] = {}

    @classmethod
    def register(cls, msg_type: str, source: str | Path, store: Scope = None) -> None:
        """Adds one definition.

        Args:
            msg_type: Such as `my_msgs/msg/Speed`.
            source: The text, or a `.msg` file.
            store: The distribution, as `Stores.ROS2_FOXY` or `"ros2_foxy"`; None: all.

        Raises:
            FileNotFoundError: The file does not exist.
            TypeError: The source is neither text nor a path.
        """
        cls._types.setdefault(_scope(store), {})[msg_type] = definition_text(source)

    @classmethod
    def register_directory(cls, package_name: str, dir_path: str | Path, store: Scope = None) -> None:
        """Adds the `*.msg` files of a folder, without subfolders, as `package/msg/Stem`.

        Raises:
            ValueError: The path is not a folder.
        """
        for msg_type, path in folder_sources(package_name, dir_path).items():
            cls.register(msg_type, path, store)

    @classmethod
    def get_types(cls, store: Scope) -> dict[str, str]:
        """Definitions for a distribution: its own, which take precedence, and those for all."""
        own = {} if store is None else cls._types.get(_scope(store), {})
        return {**cls._types.get(None, {}), **own}

    @classmethod
    def reset(cls) -> None:
        """Removes all definitions."""
        cls._types.clear()


def _scope(store: Scope) -> str | None:
    """One spelling for `Stores.ROS2_FOXY`, `"ROS2_FOXY"`, `"ros2_foxy"` and `"Stores.ROS2_FOXY"`."""
    if store is None:
        return None
    name = store.value if isinstance(store, Stores) else store
    return name.lower().removeprefix("stores.")


def folder_sources(package_name: str, dir_path: str | Path) -> dict[str, str | Path]:
    """The `.msg` files of a folder by type name."""
    folder = Path(dir_path)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder with the .msg files")
    return {f"{package_name}/msg/{path.stem}": path for path in sorted(folder.glob("*.msg"))}


def definition_text(source: str | Path) -> str:
    """The text of a definition given as text or as a `.msg` file."""
    if isinstance(source, str) and source.endswith(".msg") and "\n" not in source:
        source = Path(source)
    if isinstance(source, str):
        return source
    if not isinstance(source, Path):
        raise TypeError(f"{source!r} is neither the text of a message definition nor a path")
    if not source.is_file():
        raise FileNotFoundError(f"message definition {source} does not exist")
    return source.read_text(encoding="utf-8")
