"""A Context for datagrams: DTLS in place of TLS, and what a constrained device speaks of it.

OpenSSL knows no DTLS 1.3, so this is DTLS 1.2 with the profile `cid07` of dane_clientid: name and certificates of both
ends are in clear (draft-ietf-dance-tls-clientid-07, Security Considerations). Not here: associations and their sockets.
RFC 6347; RFC 7925 sections 4.2 and 4.4 for the constrained suites.
"""

from dataclasses import dataclass
from typing import Final

from dnsbound._native import Config
from dnsbound.edge.context_signal import Ask
from dnsbound.limits import DATAGRAM_OCTETS, RETRANSMIT_FIRST, RETRANSMIT_LONGEST
from dnsbound.tls.errors import TLSMisuse

_CCM: Final = "ECDHE-ECDSA-AES128-CCM"
_CCM_8: Final = "ECDHE-ECDSA-AES128-CCM8"
_GROUPS: Final = "X25519:P-256"
"""P-256 as well where X25519 would do: before TLS 1.3 the list says which curves a certificate may have, too."""
_SIGNATURES: Final = "ECDSA+SHA256:ed25519"
_WEAKEST_LEVEL: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagrams:
    """How a Context speaks DTLS.

    octets: of a datagram of ours at most. retransmit_first, retransmit_longest: milliseconds until an unanswered
    flight is repeated, doubled each time. constrained: ECDHE with X25519 or P-256, ECDSA or Ed25519, AES-128-CCM and
    nothing else. danger_ccm_8: the same with AES-128-CCM-8 alone, whose tag of 8 octets a forger meets once in 2**64
    tries and the least security level of OpenSSL; for devices that have nothing else.
    """

    octets: int = DATAGRAM_OCTETS.default
    retransmit_first: int = RETRANSMIT_FIRST.default
    retransmit_longest: int = RETRANSMIT_LONGEST.default
    constrained: bool = False
    danger_ccm_8: bool = False

    def __post_init__(self) -> None:
        DATAGRAM_OCTETS.checked(self.octets)
        RETRANSMIT_FIRST.checked(self.retransmit_first)
        RETRANSMIT_LONGEST.checked(self.retransmit_longest)
        if self.retransmit_first > self.retransmit_longest:
            raise TLSMisuse("the first repetition comes no later than the longest wait")
        if self.danger_ccm_8 and not self.constrained:
            raise TLSMisuse("danger_ccm_8 is a choice of the constrained suites")

    def set_up(self, config: Config) -> None:
        """Set what concerns datagrams on a Config that is for them."""
        config.set_datagrams(
            mtu=self.octets, first_timeout=self.retransmit_first, longest_timeout=self.retransmit_longest
        )
        if not self.constrained:
            return
        if self.danger_ccm_8:
            config.set_security_level(_WEAKEST_LEVEL)
        config.set_cipher_list(_CCM_8 if self.danger_ccm_8 else _CCM)
        config.set_groups(_GROUPS)
        config.set_signature_algorithms(_SIGNATURES)


def asked_over(datagrams: Datagrams | None, ask: Ask | None) -> Ask | None:
    """Whom a door asks for a certificate: over datagrams everybody, since DTLS 1.2 has no request signal."""
    if datagrams is None:
        return ask
    if ask == "signalled":
        raise TLSMisuse("DTLS 1.2 has no request signal: an optional door asks every client")
    return "always"


def datagrams_of(given: "Datagrams | bool", *, chains: tuple[object, ...] = ()) -> Datagrams | None:
    """What the argument `datagram` of a Context means; None for streams. chains: what else it was given of DNSSEC
    chains, for which DTLS has no place here."""
    if not given:
        return None
    if any(chain is not None for chain in chains):
        raise TLSMisuse("DNSSEC chains are not carried over datagrams")
    return given if isinstance(given, Datagrams) else Datagrams()
