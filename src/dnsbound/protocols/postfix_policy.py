"""The policy delegation protocol of Postfix (SMTPD_POLICY_README): what the server asks, and what it is answered.

A request is lines `name=value`, ended by an empty line; several follow each other on one connection, and each gets one
line `action=...` and an empty line. Postfix tells no certificate, but two digests of the client's: of the public key,
which is the data of a TLSA record 3 1 x, and of the certificate, that of 3 0 x. Both are empty without a certificate.
Which digest is told by `smtpd_tls_fingerprint_digest` is not said, so it is known by its length: SHA-256 or SHA-512.
Exim can write the same request by `readsocket`. What this is not: a judgement, or a connection.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from dnsbound.credential.presented import LeafDigests, Presented
from dnsbound.door_limits import POLICY_ATTRIBUTES, POLICY_REQUEST_OCTETS
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.names import ClientName
from dnsbound.protocols.identity_headers import NAME
from dnsbound.protocols.presented_by_fronts import digest_of_text

SMTPD_ACCESS_POLICY: Final = "smtpd_access_policy"
_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_DIGESTS: Final = {"ccert_pubkey_fingerprint": "spki", "ccert_fingerprint": "certificate"}
_ALGORITHMS: Final = {32: "sha256", 64: "sha512"}
"""By octets: the two digests of RFC 6698 section 7.4."""


class PolicyUse(StrEnum):
    """What an admission is good for."""

    REQUIRE = "require"
    """Whoever is not admitted sends no mail here; an admission lets the restrictions behind it decide."""
    RELAY = "relay"
    """An admission permits relaying; all others are judged by the restrictions behind it, as if nobody had asked."""
    HEADER = "header"
    """The message is told who brought it, or that nobody admitted did; nobody is refused here. Postfix writes it above
    everything the sender wrote, so that the first field of its name is ours and a forged one stands below."""


class PolicyOutcome(StrEnum):
    """How asking ended."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    UNDECIDED = "undecided"


_DUNNO: Final = "DUNNO"
ACTIONS: Final[Mapping[tuple[PolicyUse, PolicyOutcome], str]] = MappingProxyType(
    {
        (PolicyUse.REQUIRE, PolicyOutcome.ALLOWED): _DUNNO,
        (PolicyUse.REQUIRE, PolicyOutcome.REFUSED): "REJECT 5.7.1 Client identity required",
        (PolicyUse.REQUIRE, PolicyOutcome.UNDECIDED): "DEFER_IF_PERMIT 4.7.0 Client identity cannot be checked now",
        (PolicyUse.RELAY, PolicyOutcome.ALLOWED): "OK",
        (PolicyUse.RELAY, PolicyOutcome.REFUSED): _DUNNO,
        (PolicyUse.RELAY, PolicyOutcome.UNDECIDED): "DEFER_IF_REJECT 4.7.0 Client identity cannot be checked now",
        (PolicyUse.HEADER, PolicyOutcome.ALLOWED): "PREPEND",
        (PolicyUse.HEADER, PolicyOutcome.REFUSED): "PREPEND",
        (PolicyUse.HEADER, PolicyOutcome.UNDECIDED): "PREPEND",
    }
)
"""Table: actions of access(5). One that is absent is a refusal. Codes: RFC 3463 section 3.8."""
NOBODY: Final = "none"
"""In the place of the name of a client that was not admitted. No client name: a name has a dot."""
_FALLBACK: Final = "REJECT 5.7.1 Client identity required"


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What was asked, attribute by attribute."""

    attributes: Mapping[str, str]

    @property
    def helo_name(self) -> str:
        """What the client calls itself: the name it claims."""
        return self.attributes.get("helo_name", "")

    @property
    def client_address(self) -> str:
        return self.attributes.get("client_address", "")

    @property
    def protocol(self) -> str:
        """For logs: the version of TLS, and the command that is judged."""
        words = ("SMTP", self.attributes.get("protocol_state", ""), self.attributes.get("encryption_protocol", ""))
        return " ".join(word for word in words if word)

    @property
    def presented(self) -> Presented:
        """The client's leaf, as far as it is told; empty without a certificate. Malformed when a digest is of neither
        SHA-256 nor SHA-512."""
        found: dict[str, bytes] = {}
        for attribute, kind in _DIGESTS.items():
            if not (text := self.attributes.get(attribute, "")):
                continue
            digest = digest_of_text(text)
            algorithm = _ALGORITHMS.get(len(digest))
            if algorithm is None:
                raise Malformed(
                    f"policy request: {attribute} is neither of SHA-256 nor of SHA-512: set"
                    " smtpd_tls_fingerprint_digest = sha256"
                )
            found[f"{kind}_{algorithm}"] = digest
        return Presented(digests=LeafDigests(**found)) if found else Presented()

    @property
    def takes_headers(self) -> bool:
        """PREPEND at RCPT would write a header for each recipient, at the end of the data none."""
        return self.attributes.get("protocol_state") == "DATA"

    def to_wire(self) -> bytes:
        """As Postfix writes it; Misuse for an attribute that cannot be written."""
        for name, value in self.attributes.items():
            if not _NAME.fullmatch(name) or "\n" in value or "\0" in value:
                raise Misuse(f"{name!r} cannot be an attribute of a policy request")
        lines = "".join(f"{name}={value}\n" for name, value in self.attributes.items())
        return f"{lines}\n".encode("utf-8", "surrogateescape")


class PolicyRequests:
    """What one connection has asked so far: octets in, whole requests out."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, octets: bytes) -> Iterator[PolicyRequest]:
        """Each request that is whole now. Malformed or LimitExceeded: the connection is to be closed without an answer,
        which Postfix takes for a fault of the server and tells the client to come again."""
        self._pending += octets
        while (end := self._end()) is not None:
            block = bytes(self._pending[:end])
            del self._pending[: end + 1]
            yield _request(block)
        if len(self._pending) > POLICY_REQUEST_OCTETS.default:
            raise LimitExceeded(POLICY_REQUEST_OCTETS.name, "a policy request does not end")

    def _end(self) -> int | None:
        """Where the empty line begins that ends the first request."""
        if self._pending.startswith(b"\n"):
            return 0
        found = self._pending.find(b"\n\n")
        if found > POLICY_REQUEST_OCTETS.default:
            raise LimitExceeded(POLICY_REQUEST_OCTETS.name, "a policy request is too long")
        return None if found < 0 else found + 1

    @property
    def is_between(self) -> bool:
        """No request has begun."""
        return not self._pending


def _request(block: bytes) -> PolicyRequest:
    # Addresses of mail may hold any octets; what is compared here is ASCII.
    lines = block.decode("utf-8", "surrogateescape").split("\n")[:-1]
    if len(lines) > POLICY_ATTRIBUTES.default:
        raise LimitExceeded(POLICY_ATTRIBUTES.name, f"{len(lines)} attributes")
    attributes: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise Malformed("policy request: a line is not name=value")
        if "\0" in value or name in attributes:
            raise Malformed(f"policy request: {name} comes twice, or holds a NUL")
        attributes[name] = value
    if attributes.get("request") != SMTPD_ACCESS_POLICY:
        raise Malformed(f"policy request: not request={SMTPD_ACCESS_POLICY}")
    return PolicyRequest(MappingProxyType(attributes))


def answer_to(request: PolicyRequest, use: PolicyUse, outcome: PolicyOutcome, name: ClientName | None = None) -> bytes:
    """The answer. name: who was admitted."""
    action = ACTIONS.get((use, outcome), _FALLBACK)
    if action == "PREPEND":
        told = NOBODY if name is None else name.canonical
        action = f"PREPEND {NAME}: {told}" if request.takes_headers else _DUNNO
    return f"action={action}\n\n".encode("ascii")
