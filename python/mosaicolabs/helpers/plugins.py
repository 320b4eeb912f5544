"""Plug-ins of this and of other packages, registered as entry points."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from mosaicolabs.exceptions import InvalidInputError

PluginT = TypeVar("PluginT")


class Named(Protocol):
    """What every plug-in has."""

    @property
    def name(self) -> str:
        """The name under which it is registered."""


@dataclass(frozen=True)
class PluginGroup(Generic[PluginT]):
    """The plug-ins of one kind.

    Attributes:
        group: The group of entry points.
        kind: Its name in errors, such as `reader`.
        interface: The protocol that a plug-in implements, checkable at run time.
        members: The members of the protocol in words.
        error: Class of the errors.
        choose: How a user chooses another one, such as `--format`.
    """

    group: str
    kind: str
    interface: type
    members: str
    error: type[InvalidInputError]
    choose: str

    def names(self) -> list[str]:
        """Names of all installed ones."""
        return sorted({entry.name for entry in entry_points(group=self.group)})

    def listed(self) -> str:
        """The names as text for errors."""
        return ", ".join(self.names()) or "none (is the package installed?)"

    def load(self, name: str) -> PluginT:
        """The plug-in registered under `name`.

        Raises:
            InvalidInputError: It does not exist, its package cannot be imported, or it lacks a member; of the
                class `error`.
        """
        for entry in entry_points(group=self.group):
            if entry.name == name:
                return self._instance(entry)
        raise self.error(f"{self.kind} `{name}` does not exist; installed {self.kind}s: {self.listed()}")

    def _instance(self, entry: EntryPoint) -> PluginT:
        described = f"{self.kind} `{entry.name}` ({entry.value})"
        try:
            plugin: PluginT = entry.load()()
        except Exception as error:  # importing a package may raise anything
            raise self.error(
                f"{described} cannot be loaded: {error}; repair or uninstall its package, "
                f"or choose another {self.kind} with {self.choose}"
            ) from error
        if not isinstance(plugin, self.interface):
            raise self.error(f"{described} lacks {self.members}")
        return plugin

    def check_options(self, plugin: Named, options: Mapping[str, Any]) -> None:
        """Refuses options that the plug-in does not have; its member `options` describes those it has.

        Raises:
            InvalidInputError: It does not have an option; of the class `error`.
        """
        known = getattr(plugin, "options", {})
        for name in options:
            if name not in known:
                has = ", ".join(f"{option} ({meaning})" for option, meaning in known.items()) or "none"
                raise self.error(f"{self.kind} `{plugin.name}` has no option `{name}`; it has: {has}")
