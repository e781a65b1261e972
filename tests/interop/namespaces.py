"""Network namespaces and the cables between them: made for one test, removed after it."""

import contextlib
import ipaddress
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Final

import pytest

from interop.daemon import program, run

_NUMBERS: Final = count()
_NETWORKS: Final = ipaddress.ip_network("198.18.0.0/15")


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

    def reaches(self, address: str) -> bool:
        """Whether TCP packets go there and come back: a port where nobody listens says so."""
        return run(self.command([sys.executable, "-c", _REACH, address])).returncode == 0


_REACH: Final = """
import errno, socket, sys
with socket.socket() as asking:
    asking.settimeout(5)
    sys.exit(asking.connect_ex((sys.argv[1], 9)) != errno.ECONNREFUSED)
"""
HERE: Final = Namespace()


def need_network_administration() -> None:
    """Skip the test where the system lets nobody make namespaces and cables: that is no program which could be
    installed, so it is not asked for where peers are required."""
    if (reason := _withheld()) is not None:
        pytest.skip(reason)


@cache
def _withheld() -> str | None:
    """Why they cannot be made here; None where they can. Found out by making some."""
    name = f"dnsbound{os.getpid()}try"
    ip = program("ip")
    made = run([ip, "netns", "add", name])
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    cable = run([ip, "netns", "exec", name, ip, "link", "add", "one", "type", "veth", "peer", "name", "other"])
    run([ip, "netns", "delete", name])
    return f"no cables between network namespaces here: {cable.stderr.strip()}" if cable.returncode else None


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


@contextlib.contextmanager
def private_link(one: Namespace, other: Namespace) -> Iterator[tuple[str, str]]:
    """A cable with a network of its own (RFC 2544's, which nothing else uses): the address of each end."""
    used = HERE.ip("-oneline", "-4", "address", "show")
    while f" {(first := _NETWORKS[4 * secrets.randbelow(_NETWORKS.num_addresses // 4) + 1])}/" in used:
        continue
    second = first + 1
    with cable(one, other, addresses=(f"{first}/30", f"{second}/30")):
        yield str(first), str(second)
