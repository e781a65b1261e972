"""An admitted client for tests of what the gate does after the verdict."""

from collections.abc import Mapping
from typing import Any

from dnsbound.names import ClientName
from dnsbound.protocols.gated import GateIdentity

CAR54 = "car54._device.cars.example"


def admitted(
    name: str = CAR54, *, grants: Mapping[str, Any] | None = None, certificate: bytes | None = b"\x30\x03leaf"
) -> GateIdentity:
    return GateIdentity(
        name=ClientName.parse(name),
        grants=grants or {},
        door="report.gov.example",
        valid_until=1_790_000_000.0,
        tls_version="TLSv1.3",
        certificate=certificate,
        spki=b"\x30spki",
        client=("192.0.2.7", 40_000),
        server=("192.0.2.1", 8883),
    )
