"""Network namespaces and the cables between them: made for one test, removed after it."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from interop.daemon import program, run

_NUMBERS: Final = count()
_CAP_NET_ADMIN: Final = 12


@dataclass(frozen=True, slots=True)
class Namespace:
    """Where programs see interfaces of their own. name: None for the one the tests run in."""

    name: str | None = None

    def command(self, command: Sequence[str]) -> list[str]:
        """The command that runs this one inside; it becomes the program, so that ending it ends the program."""
        inside = [] if self.name is None else [program("ip"), "netns", "exec", self.name]
        return [*inside, *command]

    def ip(self, *words: str) -> str:
        done = run(self.command([program("ip"), *words]))
        assert done.returncode == 0, f"ip {words}: {done.stderr}"
        return done.stdout


HERE: Final = Namespace()


def need_network_administration() -> None:
    """Skip the test where it may not make interfaces; fail it where peers are required."""
    status = Path("/proc/self/status").read_text()
    capabilities = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:"))
    if capabilities >> _CAP_NET_ADMIN & 1:
        return
    reason = "network namespaces need CAP_NET_ADMIN"
    if os.environ.get("DNSBOUND_REQUIRE_PEERS"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def namespace() -> Iterator[Namespace]:
    """A fresh one with its loopback up."""
    need_network_administration()
    name = f"dnsbound{os.getpid()}n{next(_NUMBERS)}"
    HERE.ip("netns", "add", name)
    try:
        inside = Namespace(name)
        inside.ip("link", "set", "lo", "up")
        yield inside
    finally:
        HERE.ip("netns", "delete", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plug:
    """One end of a cable."""

    namespace: Namespace
    interface: str


@contextlib.contextmanager
def cable(one: Namespace, other: Namespace, *, addresses: tuple[str, str] | None = None) -> Iterator[tuple[Plug, Plug]]:
    """A veth pair, both ends up. addresses: of each end, with their prefix length (`192.0.2.1/24`)."""
    need_network_administration()
    number = next(_NUMBERS)
    plugs = (
        Plug(namespace=one, interface=f"a{number}v{os.getpid()}"),
        Plug(namespace=other, interface=f"b{number}v{os.getpid()}"),
    )
    HERE.ip("link", "add", plugs[0].interface, "type", "veth", "peer", "name", plugs[1].interface)
    try:
        for index, plug in enumerate(plugs):
            if plug.namespace.name is not None:
                HERE.ip("link", "set", plug.interface, "netns", plug.namespace.name)
            if addresses is not None:
                plug.namespace.ip("address", "add", addresses[index], "dev", plug.interface)
            plug.namespace.ip("link", "set", plug.interface, "up")
        yield plugs
    finally:
        # Either end takes the other along; an end inside goes with its namespace, too.
        plugs[0].namespace.ip("link", "delete", plugs[0].interface)
