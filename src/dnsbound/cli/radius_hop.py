"""The way to a RADIUS server, from options: over UDP with a shared secret, or over TLS or DTLS with two credentials."""

import re
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dnsbound.errors import Malformed, Misuse
from dnsbound.times import Seconds

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dnsbound.edge.context import Context
    from dnsbound.edge.context_server_tlsa import ResolverLike
    from dnsbound.edge.radius_client import RadiusAsker

_DIGEST_OCTETS: Final = 32
_ENDPOINT: Final = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?")


class HopTransport(StrEnum):
    """How the server is reached."""

    UDP = "udp"
    TLS = "tls"
    DTLS = "dtls"

    @classmethod
    def of(cls, *, radsec: bool, dtls: bool) -> "HopTransport":
        if radsec and dtls:
            raise Misuse("--radsec or --dtls, not both")
        return cls.TLS if radsec else cls.DTLS if dtls else cls.UDP


_PORTS: Final = {HopTransport.UDP: 1812, HopTransport.TLS: 2083, HopTransport.DTLS: 2083}


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """server: as it was written. secret_file: over UDP. The rest is for TLS and DTLS: who the access point is, and by
    what the server is believed."""

    server: str
    transport: HopTransport
    secret_file: Path | None = None
    credential: Path | None = None
    name: str | None = None
    authorities: Path | None = None
    by_tlsa: bool = False
    pin: str | None = None

    def __post_init__(self) -> None:
        over_tls = [self.credential, self.name, self.authorities, self.pin, self.by_tlsa or None]
        if self.transport is HopTransport.UDP:
            if self.secret_file is None:
                raise Misuse("RADIUS over UDP needs --secret-file")
            if any(option is not None for option in over_tls):
                raise Misuse("the --hop options are for --radsec and --dtls")
            return
        if self.secret_file is not None:
            raise Misuse("over TLS and DTLS there is no --secret-file: credentials protect")
        if self.credential is None or self.name is None:
            raise Misuse("--radsec and --dtls need --hop-credential and --hop-name")
        if sum(option is not None for option in over_tls[2:]) != 1:
            raise Misuse("the RADIUS server is believed in one way: --hop-ca, --hop-tlsa or --hop-pin")

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port; Malformed for text that is neither."""
        if self.server.count(":") > 1 and not self.server.startswith("["):
            return self.server, _PORTS[self.transport]  # an IPv6 address alone
        found = _ENDPOINT.fullmatch(self.server)
        port = 0 if found is None else _PORTS[self.transport] if found[3] is None else int(found[3])
        if found is None or not 0 < port < 65536:
            raise Malformed(f"--server {self.server!r} is not HOST or HOST:PORT")
        return found[1] or found[2], port

    @asynccontextmanager
    async def opened(self, resolver: "ResolverLike", seconds: Seconds) -> "AsyncIterator[RadiusAsker]":
        """A client of the server, closed afterwards. seconds: how long each request may take."""
        try:
            asker = await self._open(resolver, seconds)
        except UnicodeError as error:
            raise Malformed(f"--server {self.server!r} is no host name") from error
        except socket.gaierror as error:
            raise socket.gaierror(error.errno, f"{self.server}: {error.strerror}") from error
        try:
            yield asker
        finally:
            await asker.aclose()

    async def _open(self, resolver: "ResolverLike", seconds: Seconds) -> "RadiusAsker":
        from dnsbound.edge.radius_client import UdpRadiusClient
        from dnsbound.edge.radius_client_dtls import DtlsRadiusClient
        from dnsbound.edge.radius_client_tls import TlsRadiusClient
        from dnsbound.edge.radius_clients import read_secrets
        from dnsbound.protocols.radius_exchange import Patience

        host, port = self.endpoint
        patience = Patience(first=min(2.0, seconds), seconds=seconds)
        if self.transport is HopTransport.UDP:
            assert self.secret_file is not None
            secret = read_secrets(self.secret_file, danger_short=True)[0]
            return await UdpRadiusClient.open(host, port, secret, patience=patience)
        context = self._context(resolver)
        if self.authorities is None:
            assert self.name is not None
            await context.prepare(self.name, port)
        if self.transport is HopTransport.TLS:
            return await TlsRadiusClient.open(host, port, context, server_hostname=self.name, patience=patience)
        return await DtlsRadiusClient.open(
            host, port, context, server_hostname=self.name, patience=patience, seconds=seconds
        )

    def _context(self, resolver: "ResolverLike") -> "Context":
        from dnsbound.edge.credential_files import load_credential
        from dnsbound.edge.own_authorities import OwnAuthoritiesContext
        from dnsbound.edge.radius_client_dtls import RADIUS_DATAGRAMS

        assert self.credential is not None
        assert self.name is not None
        dtls = self.transport is HopTransport.DTLS
        context = OwnAuthoritiesContext.client(
            load_credential(self.credential),
            datagram=RADIUS_DATAGRAMS if dtls else False,
            clear_name_to=[self.name] if dtls else (),
            server_tlsa="off" if self.authorities is not None else "require",
            resolver=None if self.authorities is not None else self._looked_up_by(resolver),
        )
        if self.authorities is not None:
            context.load_verify_locations(cafile=str(self.authorities))
        return context

    def _looked_up_by(self, resolver: "ResolverLike") -> "ResolverLike":
        from dnsbound.edge.pinned_server import PinnedServer
        from dnsbound.iana import MatchingType, Selector, Usage
        from dnsbound.records.tlsa import TLSA

        if self.pin is None:
            return resolver
        assert self.name is not None
        try:
            digest = bytes.fromhex(self.pin.removeprefix("sha256:"))
        except ValueError:
            digest = b""
        if len(digest) != _DIGEST_OCTETS:
            raise Malformed("--hop-pin is the SHA-256 of the server's public key, 64 hexadecimal digits")
        return PinnedServer(self.name, [TLSA(Usage.DANE_EE, Selector.SPKI, MatchingType.SHA2_256, digest)])
