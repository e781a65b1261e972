"""The TLS flags extension, and the flag by which a client says that it would answer a request for its certificate.

    struct { opaque flags<1..255>; } FlagExtensions;

Flag n is bit n % 8, least significant first, of octet n / 8 (draft-ietf-tls-tlsflags-16 section 2). Which flag may
stand in which message is in two tables: what section 3 allows any flag, and what the flags known here allow themselves.
The native engine keeps the same rules on arrival (`native/src/flags.rs`); tests hold the two together.

The request flag (draft-jhoyla-req-mtls-flag) is an offer and proves nothing: it names nobody, and who the client is
comes from its Certificate alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Self

from dnsbound.errors import Malformed, Misuse, PeerError
from dnsbound.iana import REQUEST_CLIENT_AUTH, RESUMPTION_ACROSS_NAMES, TLS_FLAGS, TLS_FLAGS_PROTOTYPE
from dnsbound.wire import Reader, prefixed

MAX_FLAG: Final = 255 * 8 - 1
"""The last bit of the longest vector."""


class Message(StrEnum):
    """Messages of TLS 1.3 that may carry tls_flags (section 6), by who sends them."""

    CLIENT_HELLO = "ClientHello"
    HELLO_RETRY_REQUEST = "HelloRetryRequest"
    SERVER_HELLO = "ServerHello"
    ENCRYPTED_EXTENSIONS = "EncryptedExtensions"
    CERTIFICATE_REQUEST = "CertificateRequest"
    SERVER_CERTIFICATE = "Certificate of a server"
    CLIENT_CERTIFICATE = "Certificate of a client"
    NEW_SESSION_TICKET = "NewSessionTicket"


class Rule(StrEnum):
    """When a flag may stand in a message."""

    FREELY = "freely"
    IN_ANSWER = "in answer"
    """Only where the peer set it first, in the message this one answers."""
    NEVER = "never"


ANSWERS: Final[Mapping[Message, Message]] = MappingProxyType(
    {
        Message.HELLO_RETRY_REQUEST: Message.CLIENT_HELLO,
        Message.SERVER_HELLO: Message.CLIENT_HELLO,
        Message.ENCRYPTED_EXTENSIONS: Message.CLIENT_HELLO,
        Message.CERTIFICATE_REQUEST: Message.CLIENT_HELLO,
        Message.SERVER_CERTIFICATE: Message.CLIENT_HELLO,
        Message.CLIENT_CERTIFICATE: Message.CERTIFICATE_REQUEST,
        Message.NEW_SESSION_TICKET: Message.CLIENT_HELLO,
    }
)
"""The message whose flags one may acknowledge; ClientHello answers nothing."""

ANY_FLAG: Final[Mapping[Message, Rule]] = MappingProxyType(
    {
        Message.CLIENT_HELLO: Rule.FREELY,
        Message.HELLO_RETRY_REQUEST: Rule.IN_ANSWER,
        Message.SERVER_HELLO: Rule.IN_ANSWER,
        Message.ENCRYPTED_EXTENSIONS: Rule.IN_ANSWER,
        Message.CERTIFICATE_REQUEST: Rule.FREELY,
        Message.SERVER_CERTIFICATE: Rule.IN_ANSWER,
        Message.CLIENT_CERTIFICATE: Rule.IN_ANSWER,
        Message.NEW_SESSION_TICKET: Rule.FREELY,
    }
)
"""draft-ietf-tls-tlsflags-16 section 3: the most that any flag may do."""


def _only(**rules: Rule) -> Mapping[Message, Rule]:
    return MappingProxyType({message: rules.get(message.name.lower(), Rule.NEVER) for message in Message})


REQUEST_FLAG: Final = _only(client_hello=Rule.FREELY, certificate_request=Rule.IN_ANSWER)
"""draft-jhoyla-req-mtls-flag, flag specification. Whatever its number."""

KNOWN_FLAGS: Final[Mapping[int, Mapping[Message, Rule]]] = MappingProxyType(
    {RESUMPTION_ACROSS_NAMES: _only(new_session_ticket=Rule.FREELY)}
)
"""Other flags with rules of their own; for those that are absent ANY_FLAG counts."""


@dataclass(frozen=True, slots=True)
class Flags:
    """Flag numbers of one extension, 0 to 2039, one at least: an extension without any is never sent."""

    numbers: frozenset[int]

    def __post_init__(self) -> None:
        if not self.numbers:
            raise Misuse("tls_flags without a flag is not sent at all")
        if not all(0 <= number <= MAX_FLAG for number in self.numbers):
            raise Misuse(f"flags are from 0 to {MAX_FLAG}")

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Self:
        return cls(frozenset(numbers))

    @classmethod
    def from_wire(cls, extension_data: bytes) -> Self:
        """Read an extension_data. Malformed, which is illegal_parameter on the wire, for no octets, a length that is
        not the rest's, a last octet of zero, which includes no flag at all (section 2)."""
        reader = Reader(extension_data, "tls_flags")
        octets = reader.prefixed(1)
        reader.finish()
        if not octets:
            raise Malformed("tls_flags without an octet of flags", 0)
        if not octets[-1]:
            raise Malformed("tls_flags ends in an octet of zero", len(octets))
        return cls.of(8 * at + bit for at, octet in enumerate(octets) for bit in range(8) if octet >> bit & 1)

    def to_wire(self) -> bytes:
        """The shortest form, which is the only one."""
        octets = bytearray(max(self.numbers) // 8 + 1)
        for number in self.numbers:
            octets[number // 8] |= 1 << number % 8
        return prefixed(bytes(octets), 1)

    def __contains__(self, number: object) -> bool:
        return number in self.numbers


@dataclass(frozen=True, slots=True)
class RequestSignal:
    """Where the request flag stands: extension type and flag number. Neither is assigned yet, so both are arguments."""

    extension_type: int = TLS_FLAGS
    flag: int = REQUEST_CLIENT_AUTH

    def __post_init__(self) -> None:
        if not 0 <= self.extension_type <= 0xFFFF:
            raise Misuse(f"{self.extension_type} is no extension type")
        if not 0 <= self.flag <= MAX_FLAG:
            raise Misuse(f"flags are from 0 to {MAX_FLAG}, not {self.flag}")

    def to_wire(self) -> bytes:
        """The extension_data of a client that sends this flag alone."""
        return Flags.of([self.flag]).to_wire()


DEFAULT_SIGNAL: Final = RequestSignal()
RECOGNISED_SIGNALS: Final = (DEFAULT_SIGNAL, RequestSignal(TLS_FLAGS_PROTOTYPE))
"""What a server looks for unless told otherwise: prototypes use the second."""


def check_flags(
    flags: Flags, message: Message, *, answered: Flags | None, signal: RequestSignal = DEFAULT_SIGNAL
) -> None:
    """PeerError, which is illegal_parameter on the wire, when a flag may not stand in this message.

    answered: flags of the message this one answers, under the same extension type; None where there were none.
    """
    for number in sorted(flags.numbers):
        rules = REQUEST_FLAG if number == signal.flag else KNOWN_FLAGS.get(number, ANY_FLAG)
        rule = rules[message]
        if rule is Rule.NEVER or (rule is Rule.IN_ANSWER and (answered is None or number not in answered)):
            raise PeerError(f"flag {number} may stand in {message} {rule}")
