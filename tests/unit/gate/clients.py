"""Clients of a gate, as its filters are told of them."""

from dataclasses import replace
from typing import Any

from dnsbound.protocols.gated import GateIdentity, GateStranger
from gated_clients import CAR54, admitted

NAME = CAR54
CLIENT = ("192.0.2.54", 51234)
SERVER = ("198.51.100.1", 25)


def identity(name: str = NAME, **grants: Any) -> GateIdentity:
    return replace(admitted(name, grants=grants), client=CLIENT, server=SERVER)


def stranger(tls_version: str = "TLSv1.3") -> GateStranger:
    return GateStranger(door="gate", tls_version=tls_version, client=CLIENT, server=SERVER)
