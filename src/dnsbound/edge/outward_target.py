"""The server that a client-side gate connects to: over TLS 1.3, as the credential's name, once the server is known.

By TLSA records the server is known before the first octet of TLS is sent: `_PORT._tcp.NAME`, DNSSEC-secure (RFC 6698).
There is no fallback to certificate authorities. What this is not: the connection's own ends (`tls_client_protocol`).
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from dnsbound.edge.context import Context
from dnsbound.edge.context_arguments import is_address
from dnsbound.edge.context_server_tlsa import ResolverLike
from dnsbound.edge.credential_files import load_credential
from dnsbound.edge.file_status import FileStatus
from dnsbound.edge.key_exchange import KeyExchange
from dnsbound.edge.repeated_warnings import RepeatedWarnings
from dnsbound.edge.tls_client_protocol import TlsClientProtocol, TlsClientTransport
from dnsbound.errors import DnsboundError, Malformed, Misuse

_log: Final = logging.getLogger("dnsbound.gate")

_TARGET: Final = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):([0-9]{1,5})")
_ATTEMPT_SECONDS: Final = 0.25
"""Connection Attempt Delay of RFC 8305 section 5."""


class ServerAuth(StrEnum):
    """By what the server is known. There is no fallback from one to the other."""

    TLSA = "tlsa"
    CA = "ca"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlace:
    """host: where to connect. name: whom the server has to be, and what it is asked for (SNI)."""

    host: str
    port: int
    name: str

    @classmethod
    def parse(cls, text: str, *, name: str | None = None) -> Self:
        """`report.gov.example:8883`, or an address with a name for it. Malformed."""
        found = _TARGET.fullmatch(text)
        if found is None or not 0 < int(found[2]) < 65536:
            raise Malformed(f"{text!r} is neither HOST:PORT nor [ADDRESS]:PORT")
        host = found[1].strip("[]")
        if name is None and is_address(host):
            raise Malformed(f"{text!r} is an address: server_name says whose it has to be")
        return cls(host=host, port=int(found[2]), name=name or host)

    def __str__(self) -> str:
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return where if self.name == self.host else f"{self.name} at {where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutwardTls:
    """credential: a file, or a `pkcs11:` URI. certificate: beside the key. name: to state, where no file says it. raw:
    show the bare key (RFC 7250). cacert: trust anchors in place of the system's, for `ca`."""

    credential: Path | str
    certificate: Path | None = None
    name: str | None = None
    raw: bool | None = None
    server_auth: ServerAuth = ServerAuth.TLSA
    cacert: Path | None = None
    alpn: tuple[str, ...] = ()
    key_exchange: KeyExchange = KeyExchange.DEFAULT

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that a new key comes by."""
        found = (None if isinstance(self.credential, str) else self.credential, self.certificate)
        return tuple(path for path in found if path is not None)

    def context(self, resolver: ResolverLike) -> Context:
        """Reads the files. Misuse or Malformed when one of them cannot be used."""
        by_records = self.server_auth is ServerAuth.TLSA
        made = Context.client(
            load_credential(self.credential, self.certificate, name=self.name),
            raw_public_key=self.raw,
            resolver=resolver if by_records else None,
            server_tlsa="require" if by_records else "off",
            key_exchange=self.key_exchange,
        )
        made.minimum_version = ssl.TLSVersion.TLSv1_3
        if self.cacert is not None:
            try:
                made.load_verify_locations(cafile=self.cacert)
            except OSError as error:
                raise Misuse(f"{self.cacert}: {error.strerror or error}") from None
        if self.alpn:
            made.set_alpn_protocols(list(self.alpn))
        return made


class OutwardTarget:
    """Connects as `Target` of a server-side gate does. The credential is read again when its files change: a key that
    rolled is shown by the next connection."""

    def __init__(self, place: ServerPlace, tls: OutwardTls, resolver: ResolverLike) -> None:
        """Misuse or Malformed when a file cannot be used."""
        self.place: Final = place
        self._tls = tls
        self._resolver = resolver
        self._read = self._status()
        self._context = tls.context(resolver)
        self._warnings = RepeatedWarnings(_log)

    async def connect(self, protocol: Callable[[], asyncio.BaseProtocol]) -> TlsClientTransport:
        """OSError: nobody there, or the server is not the one it has to be (an `ssl.SSLError` and a DnsboundError)."""
        context = self._current()
        place = self.place
        if self._tls.server_auth is ServerAuth.TLSA:
            await context.prepare(place.name, place.port)
        loop = asyncio.get_running_loop()
        # uvloop tries one address after the other.
        delay = _ATTEMPT_SECONDS if isinstance(loop, asyncio.BaseEventLoop) else None
        options: dict[str, Any] = {} if delay is None else {"happy_eyeballs_delay": delay}
        tls = TlsClientProtocol(context, place.name, protocol)
        plain, _ = await loop.create_connection(lambda: tls, place.host, place.port, **options)
        try:
            transport: TlsClientTransport = await tls.ready
        except asyncio.CancelledError:
            plain.abort()
            raise
        transport.resume_reading()
        return transport

    def _current(self) -> Context:
        status = self._status()
        if status != self._read:
            self._read = status
            try:
                self._context = self._tls.context(self._resolver)
            except (DnsboundError, OSError) as error:
                self._warnings.warn("credential", f"{error}; the credential stays the one it was")
            else:
                _log.info("the credential for %s was read again", self.place)
        return self._context

    def _status(self) -> tuple[FileStatus | None, ...]:
        return tuple(map(FileStatus.of, self._tls.files))

    def __str__(self) -> str:
        return str(self.place)
