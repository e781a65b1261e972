"""Which texts of dane_clientid a Context speaks, and to which servers a client says its name in clear.

TLS 1.2 has no place for a name but the ClientHello, and shows certificates in clear too. So a client speaks TLS 1.2 in
profile `cid07` with the servers it was told are meant for it, and with all others TLS 1.3 alone
(draft-ietf-dance-tls-clientid-07, Security Considerations; LEG-05). Nothing here touches a connection.
"""

from collections.abc import Iterable
from typing import Any, Final

from dnsbound.edge.context_arguments import code_point, is_address
from dnsbound.edge.context_server_tlsa import canonical_host
from dnsbound.errors import Malformed
from dnsbound.iana import TLS_1_2, TLS_1_3
from dnsbound.names import ClientName
from dnsbound.tls.clientid import Profile, lowest_version
from dnsbound.tls.errors import TLSMisuse
from dnsbound.verify.patterns import LABELS, ONE_LABEL, NamePattern, PatternTree

TLS_1_2_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:!SHA1:!AESCCM8"
"""Ciphers of TLS 1.2 where names are spoken in it, unless `set_ciphers` says otherwise: no RSA key transport, no SHA-1
(RFC 9325 section 4.2)."""


def profiles_of(words: Iterable[str] | None, *, datagram: bool = False) -> tuple[Profile, ...]:
    """Profiles by name, in the order given, or what is spoken without a word; TLSMisuse for none, an unknown one, one
    named twice, or over datagrams any but cid07."""
    if words is None:
        return (Profile.CID07,) if datagram else (Profile.CA13,)
    try:
        profiles = tuple(Profile(word) for word in ([words] if isinstance(words, str) else words))
    except ValueError as error:
        raise TLSMisuse(f"profiles: {error}") from None
    if not profiles or len(set(profiles)) < len(profiles):
        raise TLSMisuse("profiles names ca13, ca10 or cid07, each once")
    if datagram and profiles != (Profile.CID07,):
        raise TLSMisuse("cid07 is the only profile that has a place in DTLS 1.2")
    return profiles


def said_by(
    name: ClientName | None,
    clientid: int,
    profiles: tuple[Profile, ...],
    clear: "ClearNameHosts",
    *,
    datagram: bool = False,
) -> dict[str, Any]:
    """Changes to the EngineSettings of a client that says this name; TLSMisuse for what contradicts itself."""
    if clear and (name is None or Profile.CID07 not in profiles):
        raise TLSMisuse("clear_name_to needs a name to send and profile cid07, the one that sends it in clear")
    if datagram and name is not None and not clear:
        raise TLSMisuse("DTLS 1.2 shows this client's name in clear: clear_name_to says to whom")
    number = code_point(clientid)
    if name is None:
        return {}
    if clear:
        return {"clientid": number, "profiles": profiles, "ciphers": TLS_1_2_CIPHERS}
    # CA-01. A client may be told to speak TLS 1.2 with old servers; it then shows its certificate in clear.
    return {"clientid": number, "profiles": profiles, "minimum": TLS_1_3}


def heard_by(profiles: tuple[Profile, ...], *, danger_no_extended_master_secret: bool) -> dict[str, Any]:
    """Changes to the EngineSettings of a server that speaks these: its versions, and how it speaks the oldest."""
    return {
        "profiles": profiles,
        "held_flight": True,
        "danger_no_extended_master_secret": danger_no_extended_master_secret,
        "minimum": lowest_version(profiles),
        "ciphers": TLS_1_2_CIPHERS,
    }


class ClearNameHosts:
    """Servers a name may be sent to in clear; none of them by default."""

    __slots__ = ("_any", "_hosts", "_patterns")

    def __init__(self, words: Iterable[str] = ()) -> None:
        """words: host names and addresses; `*.plant.example` is one label below, `**.plant.example` one or more.

        Raises TLSMisuse for what is neither.
        """
        self._hosts: Final[set[str]] = set()
        self._patterns: Final = PatternTree[bool](takes_underscores=False)
        self._any = False
        for word in [words] if isinstance(words, str) else words:
            self._any = True
            if "*" in word:
                self._patterns.add(_pattern(word), value=True)
            else:
                self._hosts.add(_host(word))

    def __bool__(self) -> bool:
        return self._any

    def include(self, host: str | None) -> bool:
        """host: as it was given to the handshake."""
        if not host or not self:
            return False
        canonical = canonical_host(host)
        if canonical in self._hosts:
            return True
        return not is_address(canonical) and bool(self._patterns.matches(tuple(canonical.split("."))))

    def require(self, host: str | None) -> None:
        """TLSMisuse for a host whose connection would show name and certificate in clear and must not."""
        if not self.include(host):
            raise TLSMisuse(f"DTLS 1.2 shows this client's name in clear: name {host} in clear_name_to, or say nothing")

    def lowest_version(self, host: str | None) -> int:
        """The lowest version to speak with a host: where some are told apart, TLS 1.3 with all others."""
        return TLS_1_2 if not self or self.include(host) else TLS_1_3


def _host(word: str) -> str:
    if not word.strip(".") or word.startswith("."):
        raise TLSMisuse(f"clear_name_to: {word!r} is no host")
    return canonical_host(word)


def _pattern(word: str) -> NamePattern:
    if word in {ONE_LABEL, LABELS}:
        raise TLSMisuse("clear_name_to: a wildcard alone is everybody")
    try:
        return NamePattern.parse(word)
    except Malformed as error:
        raise TLSMisuse(f"clear_name_to: {error}") from None
