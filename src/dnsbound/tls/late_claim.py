"""From a credential that was shown after the handshake to the claim the engine judges.

The rules are a handshake's (`handshake_claim`): the name comes from dane_clientid in the first CertificateEntry, or
where the door accepts it from the certificate's single SAN dNSName. Nothing here looks anything up.
draft-ietf-dance-client-auth sections 7 and 8.2.
"""

from typing import Final

from dnsbound.credential.presented import Presented
from dnsbound.errors import Reason, Refused
from dnsbound.tls.clientid import claimed_name
from dnsbound.tls.exported_authenticator import ValidatedAuthenticator
from dnsbound.tls.handshake_claim import ClaimRules, single_san
from dnsbound.verify.claim import Claim, NameSource, Proved

PROVED_BY_AUTHENTICATOR: Final = Proved("exported authenticator")
PROVED_AFTER_HANDSHAKE: Final = Proved("post-handshake TLS CertificateVerify")


def late_claim(
    presented: Presented, client_name: bytes | None, rules: ClaimRules, possession: Proved, *, source: str = ""
) -> Claim:
    """The claim of a client that proved possession late.

    client_name: octets of the ClientName; None when none was sent. source: who caused it, for budgets and logs.

    Raises Refused with NO_CREDENTIAL, NO_NAME, EMPTY_NAME, BAD_NAME or AMBIGUOUS_NAME.
    """
    if presented.is_empty:
        raise Refused(Reason.NO_CREDENTIAL, "the client presented neither certificate nor raw public key")
    if client_name is not None and NameSource.EXTENSION in rules.name_sources:
        name, name_source = claimed_name(client_name), NameSource.EXTENSION
    elif presented.chain and NameSource.SAN in rules.name_sources:
        name, name_source = single_san(presented.chain[0]), NameSource.SAN
    else:
        raise Refused(Reason.NO_NAME, "a credential came without a name this door accepts")
    return Claim(
        name=name,
        name_source=name_source,
        presented=presented,
        possession=possession,
        door=rules.door,
        source=source,
    )


def authenticator_claim(validated: ValidatedAuthenticator, rules: ClaimRules, *, source: str = "") -> Claim:
    """The claim of a validated exported authenticator; raises as `late_claim` does."""
    presented = Presented(chain=validated.chain)
    return late_claim(presented, validated.client_name, rules, PROVED_BY_AUTHENTICATOR, source=source)
