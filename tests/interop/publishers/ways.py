"""Every way to publish beside a real server, in one form: the tests of this directory go through all of them."""

import base64
import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dnsbound.dns.tsig import TsigKey
from dnsbound.edge.publishers import open_publisher
from dnsbound.provision.owner import OwnerName
from dnsbound.provision.publish.endpoint import Endpoint
from dnsbound.provision.publish.http_exchange import HttpOrigin
from dnsbound.provision.publish.publisher import Change, Outcome, OutcomeKind, Publisher
from dnsbound.provision.publish.targets import OctoDnsTarget, PowerDnsTarget, Rfc2136Target
from interop.primaries import API_KEY, ZONE, Server, powerdns, write_key

NEW: Final = "3 1 1 " + "ab" * 32
OTHER: Final = "3 1 1 " + "cd" * 32
TTL: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A running server and how to open a publisher for it. open: (zone, whether with the right secret).
    knows_refusals: a server that does not know us is told apart from one that fails."""

    server: Server
    open: Callable[[str, bool], Publisher]
    knows_refusals: bool = True

    @contextlib.contextmanager
    def publisher(self, zone: str = ZONE, *, right: bool = True) -> Iterator[Publisher]:
        opened = self.open(zone, right)
        try:
            yield opened
        finally:
            opened.close()


@contextlib.contextmanager
def powerdns_api(directory: Path) -> Iterator[Way]:
    """PowerDNS through its HTTP API."""
    keys = {
        right: write_key_line(directory, f"{right}.key", API_KEY if right else "another") for right in (True, False)
    }
    with powerdns(directory) as server:

        def opened(zone: str, right: bool) -> Publisher:
            url = HttpOrigin.parse(server.api)
            return open_publisher(PowerDnsTarget(zone=OwnerName.parse(zone), url=url, key_file=keys[right], batch=100))

        yield Way(server=server, open=opened)


@contextlib.contextmanager
def octodns(directory: Path) -> Iterator[Way]:
    """A provider of OctoDNS, driven by us: its own for PowerDNS."""
    with powerdns(directory) as server:

        def opened(zone: str, right: bool) -> Publisher:
            config = directory / f"octodns-{right}.yaml"
            config.write_text(
                "zones: {}\nproviders:\n  pdns:\n    class: octodns_powerdns.PowerDnsProvider\n    host: 127.0.0.1\n"
                f"    port: {server.api.rpartition(':')[2]}\n    api_key: {API_KEY if right else 'wrong'}\n"
                "    mode_of_operation: native\n"
            )
            return open_publisher(OctoDnsTarget(zone=OwnerName.parse(zone), config=config, provider="pdns", batch=100))

        yield Way(server=server, open=opened, knows_refusals=False)


@contextlib.contextmanager
def updates(primary: Callable[[Path], AbstractContextManager[Server]], directory: Path) -> Iterator[Way]:
    """A primary that takes dynamic updates."""
    wrong = TsigKey.parse(f"hmac-sha256:upd:{base64.b64encode(b'w' * 32).decode()}")
    keys = {True: write_key(directory), False: write_key(directory, wrong, name="wrong.key")}
    with primary(directory) as server:

        def opened(zone: str, right: bool) -> Publisher:
            endpoint = Endpoint.parse(server.address)
            return open_publisher(
                Rfc2136Target(zone=OwnerName.parse(zone), server=endpoint, key_file=keys[right], batch=100)
            )

        yield Way(server=server, open=opened)


def write_key_line(directory: Path, name: str, line: str) -> Path:
    path = directory / name
    path.write_text(f"{line}\n")
    path.chmod(0o600)
    return path


def change(
    name: str,
    *,
    after: tuple[str, ...] = (),
    before: tuple[str, ...] = (),
    rdtype: str = "TLSA",
    ttl: int = TTL,
    zone: str = ZONE,
) -> Change:
    """A change of a name relative to the zone."""
    return Change(
        owner=OwnerName.parse(f"{name}.{zone}", wildcard=True), rdtype=rdtype, before=before, after=after, ttl=ttl
    )


def applied(publisher: Publisher, *changes: Change) -> list[OutcomeKind]:
    """What became of the changes, in their order; one outcome each."""
    outcomes: dict[Change, Outcome] = {outcome.change: outcome for outcome in publisher.apply(changes)}
    assert len(outcomes) == len(changes)
    for outcome in outcomes.values():
        assert (outcome.kind is OutcomeKind.DONE) == (outcome.line == "")
        assert "\n" not in outcome.line
    return [outcomes[one].kind for one in changes]
