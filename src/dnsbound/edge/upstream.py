"""Resolvers to ask: an address, and for DNS over TLS how the server proves that it is the one meant.

    127.0.0.1                                 UDP with TCP fallback, port 53
    [2001:db8::53]:5300                       the same, another port
    tls://192.0.2.1#dns.example               DNS over TLS (RFC 7858), strict (RFC 8310): certificate for this name
    tls://192.0.2.1#sha256/AAAA...=           the same, by the SHA-256 of the server's public key (RFC 7858 section 4.2)
    tls://192.0.2.1#dns.example,tlsa          the same, by the TLSA records of _853._tcp.dns.example

DNS over TLS without a way to tell the server is refused; `danger_opportunistic` allows it.
"""

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse

DNS_PORT: Final = 53
DNS_OVER_TLS_PORT: Final = 853
_SCHEME: Final = "tls://"
_PIN: Final = "sha256/"
_TLSA: Final = "tlsa"
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9-]{1,63}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One resolver.

    address: an IP address without brackets. name: what the server's certificate must be for. pins: SHA-256 digests of
    public keys, any one of which the server may hold. tlsa: the keys are published under `name`, validated here.
    ca_file: roots instead of the system's, PEM. danger_opportunistic: TLS to whoever answers.
    """

    address: str
    port: int = DNS_PORT
    tls: bool = False
    name: str | None = None
    pins: frozenset[bytes] = frozenset()
    tlsa: bool = False
    ca_file: Path | None = None
    danger_opportunistic: bool = False

    def __post_init__(self) -> None:
        _checked_address(self.address)
        if not 0 < self.port < 65536:
            raise Malformed(f"resolver port {self.port} is not from 1 to 65535")
        if self.name is not None and not _HOST_NAME.fullmatch(self.name):
            raise Malformed(f"resolver name {self.name!r} is not a host name")
        if not self.tls and (self.name or self.pins or self.tlsa or self.danger_opportunistic):
            raise Misuse(f"resolver {self.address}: a way to authenticate is given, but not tls://")
        if self.tlsa and self.name is None:
            raise Misuse(f"resolver {self.address}: tlsa needs the name the records stand under")
        if self.tls and not (self.name or self.pins or self.danger_opportunistic):
            raise Misuse(
                f"resolver {self.address}: DNS over TLS needs a name or a pin to tell the server by"
                f" (tls://{self.address}#dns.example)"
            )

    @classmethod
    def parse(cls, text: str, *, ca_file: str | Path | None = None, danger_opportunistic: bool = False) -> Self:
        """Read one of the forms shown above; Malformed or Misuse with what is wrong."""
        tls = text.startswith(_SCHEME)
        rest, _, proof = text.removeprefix(_SCHEME).partition("#")
        address, port = _address_and_port(rest, DNS_OVER_TLS_PORT if tls else DNS_PORT)
        name: str | None = None
        pins: set[bytes] = set()
        tlsa = False
        for part in filter(None, proof.split(",")):
            if part.startswith(_PIN):
                pins.add(_pin(part))
            elif part == _TLSA:
                tlsa = True
            elif name is None:
                name = part.rstrip(".")
            else:
                raise Malformed(f"resolver {text!r}: two names")
        return cls(
            address=address,
            port=port,
            tls=tls,
            name=name,
            pins=frozenset(pins),
            tlsa=tlsa,
            ca_file=None if ca_file is None else Path(ca_file),
            danger_opportunistic=danger_opportunistic,
        )

    @property
    def is_authenticated(self) -> bool:
        """Whether nobody but the resolver meant can answer; for `doctor`."""
        return self.tls and not self.danger_opportunistic

    @property
    def label(self) -> str:
        """How errors and proof steps call it."""
        return f"the resolver at {self.address}" + ("" if self.port == self._usual_port else f" port {self.port}")

    @property
    def _usual_port(self) -> int:
        return DNS_OVER_TLS_PORT if self.tls else DNS_PORT

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        where = host if self.port == self._usual_port else f"{host}:{self.port}"
        proofs = [self.name] if self.name else []
        proofs += [_PIN + base64.b64encode(pin).decode() for pin in sorted(self.pins)]
        proofs += [_TLSA] if self.tlsa else []
        return f"{_SCHEME if self.tls else ''}{where}{'#' if proofs else ''}{','.join(proofs)}"


def system_upstreams(text: str) -> tuple[Upstream, ...]:
    """The name servers of an /etc/resolv.conf text, in order; lines that are something else are passed over."""
    found = []
    for line in text.splitlines():
        fields = line.split("#", 1)[0].split(";", 1)[0].split()
        if len(fields) >= 2 and fields[0] == "nameserver":
            try:
                found.append(Upstream(address=fields[1]))
            except Malformed:
                continue
    return tuple(found)


def _checked_address(text: str) -> None:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise Malformed(f"resolver address {text!r} is not an IP address") from None


def _address_and_port(text: str, usual: int) -> tuple[str, int]:
    if text.startswith("["):
        address, bracket, after = text[1:].partition("]")
        if not bracket or after == ":" or (after and not after.startswith(":")):
            raise Malformed(f"resolver address {text!r}: brackets do not match")
        port = after[1:] if after else ""
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
        if not port:
            raise Malformed(f"resolver address {text!r} has no port after the colon")
    else:
        address, port = text, ""
    if "/" in text:
        raise Malformed(f"resolver {text!r} is neither ADDRESS, ADDRESS:PORT nor tls://ADDRESS:PORT#NAME")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise Malformed(f"resolver port {port!r} is not a number")
    return address, int(port) if port else usual


def _pin(text: str) -> bytes:
    try:
        digest = base64.b64decode(text.removeprefix(_PIN), validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(f"resolver pin {text!r} is not Base64") from None
    if len(digest) != 32:
        raise Malformed(f"resolver pin {text!r} has {len(digest)} octets, not 32")
    return digest
