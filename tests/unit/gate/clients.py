"""Clients of a gate, as its filters are told of them."""

from typing import Any

from dnsbound.names import ClientName
from dnsbound.protocols.gated import GateIdentity, GateStranger

NAME = "car54._device.cars.example"
CLIENT = ("192.0.2.54", 51234)
SERVER = ("198.51.100.1", 25)


def identity(name: str = NAME, **grants: Any) -> GateIdentity:
    return GateIdentity(
        name=ClientName.parse(name),
        grants=grants,
        door="gate",
        valid_until=1_790_000_000.0,
        tls_version="TLSv1.3",
        certificate=b"\x30\x00",
        spki=b"\x30\x00",
        client=CLIENT,
        server=SERVER,
    )


def stranger(tls_version: str = "TLSv1.3") -> GateStranger:
    return GateStranger(door="gate", tls_version=tls_version, client=CLIENT, server=SERVER)
