"""From a credential that was shown after the handshake to the claim the engine judges.

The rules are a handshake's (`handshake_claim`): the name comes from dane_clientid in the first CertificateEntry, or
where the door accepts it from the certificate's single SAN dNSName. Nothing here looks anything up. An exported
authenticator speaks profile ca13 whatever the version of TLS, since its messages are those of TLS 1.3.
draft-ietf-dance-client-auth sections 7 and 8.2.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from dnsbound.credential.presented import Presented
from dnsbound.errors import Reason, Refused
from dnsbound.iana import TLS_1_3
from dnsbound.tls.clientid import Answer, Profile
from dnsbound.tls.exported_authenticator import ValidatedAuthenticator
from dnsbound.tls.handshake_claim import ClaimRules, claimed_by
from dnsbound.verify.claim import Claim, Proved

PROVED_BY_AUTHENTICATOR: Final = Proved("exported authenticator")
PROVED_AFTER_HANDSHAKE: Final = Proved("post-handshake TLS CertificateVerify")


def late_claim(
    presented: Presented,
    names: Iterable[tuple[int, bytes | None]],
    rules: ClaimRules,
    possession: Proved,
    *,
    source: str = "",
    protocol: str = "",
    carried_chain: bytes | None = None,
) -> Claim:
    """The claim of a client that proved possession late.

    names: entry index and octets of the ClientName, None where the extension had no such inside. source: who caused it,
    for budgets and logs. protocol: the version of TLS in words. carried_chain: the DNSSEC chain that came with it.

    Raises Refused with NO_CREDENTIAL, NO_NAME, EMPTY_NAME, BAD_NAME or AMBIGUOUS_NAME.
    """
    if presented.is_empty:
        raise Refused(Reason.NO_CREDENTIAL, "the client presented neither certificate nor raw public key")
    name, name_source = claimed_by(_said(names), presented, rules, version=TLS_1_3)
    return Claim(
        name=name,
        name_source=name_source,
        presented=presented,
        possession=possession,
        door=rules.door,
        source=source,
        protocol=protocol,
        carried_chain=carried_chain,
    )


def _said(names: Iterable[tuple[int, bytes | None]]) -> tuple[Answer, bytes]:
    for entry, octets in names:
        if entry == 0:
            if octets is None:
                return Answer.NO_OCTETS, b""
            return (Answer.NAME if octets else Answer.ZERO_LENGTH), octets
    return Answer.ABSENT, b""


def authenticator_claim(
    validated: ValidatedAuthenticator, rules: ClaimRules, *, source: str = "", protocol: str = ""
) -> Claim:
    """The claim of a validated exported authenticator; raises as `late_claim` does."""
    names = [] if validated.client_name is None else [(0, validated.client_name)]
    return late_claim(
        Presented(chain=validated.chain),
        names,
        replace(rules, profiles=(Profile.CA13,)),
        PROVED_BY_AUTHENTICATOR,
        source=source,
        protocol=protocol,
    )
