"""Hosts in network namespaces, connected by a router that loses the packets between any two of them."""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterable

from attack import UnavailableError

PREFIX = "mosaico"
SUBNET = "10.77"
NETWORKS = f"{SUBNET}.0.0/16"


def _ip(*arguments: object) -> None:
    command = ["ip", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")


class Network:
    """Namespaces until the end of the `with` block: a router, and a host for each name."""

    def __init__(self, hosts: Iterable[str]) -> None:
        if os.geteuid() != 0 or not shutil.which("ip"):
            raise UnavailableError("hosts in network namespaces need root and `ip` (package iproute2)")
        self._hosts = {name: number for number, name in enumerate(hosts, start=1)}
        self._lost: set[tuple[str, str]] = set()

    def address(self, host: str) -> str:
        return f"{SUBNET}.{self._hosts[host]}.2"

    def inside(self, host: str) -> list[str]:
        """The beginning of a command that runs on this host."""
        return ["ip", "netns", "exec", f"{PREFIX}-{host}"]

    @property
    def on_router(self) -> list[str]:
        """The beginning of a command that reaches all hosts."""
        return ["ip", "netns", "exec", f"{PREFIX}-router"]

    def lose(self, one: str, other: str) -> None:
        """From now on no packet between the two arrives, and nobody is informed of it."""
        for pair in itertools.permutations((one, other)):
            self._rule("add", *pair)
        self._lost.add((one, other))

    def heal(self) -> None:
        """All packets arrive again."""
        while self._lost:
            for pair in itertools.permutations(self._lost.pop()):
                self._rule("del", *pair)

    def _rule(self, action: str, sender: str, receiver: str) -> None:
        ends = ("from", self.address(sender), "to", self.address(receiver))
        _ip("-n", f"{PREFIX}-router", "rule", action, *ends, "blackhole")

    def __enter__(self) -> "Network":
        self._remove()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def _make(self) -> None:
        router = f"{PREFIX}-router"
        for name in ("router", *self._hosts):
            _ip("netns", "add", f"{PREFIX}-{name}")
            _ip("-n", f"{PREFIX}-{name}", "link", "set", "lo", "up")
        for name, number in self._hosts.items():
            host, cable = f"{PREFIX}-{name}", f"to-{name}"
            _ip(
                "link", "add", "uplink", "netns", host, "type", "veth", "peer", "name", cable, "netns", router
            )
            _ip("-n", host, "addr", "add", f"{SUBNET}.{number}.2/24", "dev", "uplink")
            _ip("-n", router, "addr", "add", f"{SUBNET}.{number}.1/24", "dev", cable)
            _ip("-n", host, "link", "set", "uplink", "up")
            _ip("-n", router, "link", "set", cable, "up")
            _ip("-n", host, "route", "add", "default", "via", f"{SUBNET}.{number}.1")
        forward = [*self.on_router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        done = subprocess.run(forward, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise UnavailableError(f"the router cannot forward packets: {done.stderr.strip()}")

    def _remove(self) -> None:
        for name in ("router", *self._hosts):
            command = ["ip", "netns", "del", f"{PREFIX}-{name}"]
            subprocess.run(command, capture_output=True, check=False)

    def __exit__(self, *_: object) -> None:
        self._remove()
