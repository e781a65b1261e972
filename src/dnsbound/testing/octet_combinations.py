"""Handshakes whose octets are worth comparing: what each is made of, which there are, and why some cannot be.

Values alone; `octet_measure` runs them. A combination that this version cannot do is kept, with the reason, so that a
comparison never passes over it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from typing import Final


class Version(StrEnum):
    """Protocol version."""

    TLS13 = "tls13"
    TLS12 = "tls12"
    DTLS12 = "dtls12"
    DTLS13 = "dtls13"

    @property
    def label(self) -> str:
        return {"t": "TLS ", "d": "DTLS "}[self.value[0]] + f"{self.value[-2]}.{self.value[-1]}"

    @property
    def is_datagram(self) -> bool:
        return self in (Version.DTLS12, Version.DTLS13)


class Form(StrEnum):
    """What an end shows."""

    CHAIN = "chain"
    """A certificate and one intermediate; the root is known to the other end."""
    SELF_SIGNED = "self-signed"
    RAW = "raw"
    """A raw public key (RFC 7250)."""


class Group(StrEnum):
    """Key exchange, by OpenSSL's names."""

    X25519 = "X25519"
    X25519MLKEM768 = "X25519MLKEM768"


class Key(StrEnum):
    """Kinds of key of both ends and their authorities."""

    P256 = "p256"
    ED25519 = "ed25519"
    RSA2048 = "rsa2048"
    MLDSA44 = "ml-dsa-44"
    MLDSA65 = "ml-dsa-65"


POST_QUANTUM_KEYS: Final = frozenset({Key.MLDSA44, Key.MLDSA65})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Combination:
    """One mutual handshake."""

    version: Version = Version.TLS13
    key: Key = Key.P256
    group: Group = Group.X25519
    client: Form = Form.CHAIN
    server: Form = Form.CHAIN
    named: bool = True
    """The client says its name in dane_clientid."""
    carried: bool = False
    """The client carries the DNSSEC chain of its own TLSA record."""
    server_chain: bool = False
    """The server answers dnssec_chain (RFC 9102)."""

    @property
    def legacy(self) -> bool:
        return self.version is not Version.TLS13

    @property
    def unavailable_because(self) -> str | None:
        """Why this version cannot do it; None when it can."""
        return next((reason for rules_out, reason in _CANNOT_BE if rules_out(self)), None)

    @property
    def baseline(self) -> "Combination":
        """What its octets are compared with: chains on both ends, and no name, in the same version with the same keys
        and key exchange."""
        return Combination(version=self.version, key=self.key, group=self.group, named=False)


_CANNOT_BE: Final[tuple[tuple[Callable[[Combination], bool], str], ...]] = (
    (lambda it: it.version is Version.DTLS13, "OpenSSL has no DTLS 1.3"),
    (lambda it: it.legacy and it.group is Group.X25519MLKEM768, "hybrid key exchange needs TLS 1.3"),
    (lambda it: it.legacy and it.key in POST_QUANTUM_KEYS, "ML-DSA signatures need TLS 1.3"),
    (
        lambda it: it.version is Version.DTLS12 and it.key is Key.ED25519,
        "OpenSSL has no cipher suite for an Ed25519 server in DTLS 1.2",
    ),
    (lambda it: it.legacy and it.carried, "a client carries its chain in TLS 1.3 alone"),
    (lambda it: it.version.is_datagram and it.server_chain, "servers answer dnssec_chain over streams alone"),
    (lambda it: it.carried and not it.named, "a carried chain is about a name, and none is said"),
)
"""The first one that applies is the reason."""


def standard() -> list[Combination]:
    """Those that answer a question: every form of every version with P-256 and X25519, and beside some of them what
    other keys, key exchange and DNSSEC chains cost."""
    typical = [(Form.CHAIN, Form.CHAIN, False), (Form.SELF_SIGNED, Form.CHAIN, True), (Form.RAW, Form.CHAIN, True)]
    typical.append((Form.RAW, Form.RAW, True))
    chosen = [
        Combination(version=version, client=client, server=server, named=named)
        for version in (Version.TLS13, Version.TLS12, Version.DTLS12)
        for client, server, named in product(Form, (Form.CHAIN, Form.RAW), (False, True))
    ]
    chosen.append(Combination(version=Version.DTLS13, client=Form.RAW, server=Form.RAW))
    for version in (Version.TLS13, Version.DTLS12):
        chosen += _of(typical, version=version, group=Group.X25519MLKEM768)
    for key in (Key.ED25519, Key.RSA2048, *sorted(POST_QUANTUM_KEYS)):
        chosen += _of(typical, key=key)
    for key in (Key.ED25519, Key.RSA2048, Key.MLDSA44):
        chosen += _of(typical[-1:], version=Version.DTLS12, key=key)
    chosen += _of(typical[-1:], key=Key.MLDSA44, group=Group.X25519MLKEM768)
    chosen += [Combination(client=client, server=Form.CHAIN, carried=True) for client in (Form.SELF_SIGNED, Form.RAW)]
    chosen += [Combination(client=Form.RAW, server=Form.RAW, server_chain=True)]
    chosen += [Combination(client=Form.RAW, server=Form.RAW, carried=True, server_chain=True)]
    chosen += [Combination(version=Version.TLS12, client=Form.RAW, server=Form.RAW, server_chain=True)]
    chosen += [Combination(version=Version.DTLS12, client=Form.RAW, server=Form.RAW, carried=True)]
    return list(dict.fromkeys(chosen))


def _of(typical: list[tuple[Form, Form, bool]], **fields: object) -> Iterator[Combination]:
    for client, server, named in typical:
        yield Combination(client=client, server=server, named=named, **fields)  # type: ignore[arg-type] # its own fields


def every() -> list[Combination]:
    """The whole product."""
    return [
        Combination(
            version=version,
            key=key,
            group=group,
            client=client,
            server=server,
            named=named,
            carried=carried,
            server_chain=server_chain,
        )
        for version, key, group, client, server, named, carried, server_chain in product(
            Version, Key, Group, Form, Form, (False, True), (False, True), (False, True)
        )
    ]
