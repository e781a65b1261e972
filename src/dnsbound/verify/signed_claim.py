"""Checking the signature that came with a claim (`Signed`), by the key the claim presents or the records publish.

A part of the engine (`dnsbound.verify.engine`), which matches the key against the records afterwards: here it is only
seen that the signature is the key's. Sections: RFC 7671 section 5.1 (the key is the whole proof), RFC 8551 section
4.4.2 (keyUsage of certificates that sign objects).
"""

from collections.abc import Sequence
from functools import lru_cache

from dnsbound.credential.certificate_facts import may_sign, spki_of
from dnsbound.credential.presented import Presented
from dnsbound.credential.signature import BadSignature, verifying_key
from dnsbound.errors import LimitExceeded, Malformed, Reason, Refused, Undecided
from dnsbound.limits import Budget
from dnsbound.object_limits import PUBLISHED_KEYS
from dnsbound.verify.claim import Proved, Signed


def proved_by(signed: Signed, presented: Presented) -> Proved:
    """Possession of what is presented. Refused(BAD_SIGNATURE) when the signature is not that key's."""
    try:
        spki = _signing_spki(presented.chain[0]) if presented.chain else presented.spki
        signed.check(verifying_key(spki))
    except (BadSignature, Malformed) as error:
        raise Refused(Reason.BAD_SIGNATURE, str(error)) from error
    return Proved(signed.by, spki=spki)


def proved_by_published(signed: Signed, published: Sequence[Presented]) -> tuple[Presented, Proved]:
    """Which of the credentials that the records publish in full made the signature, and possession of it.

    Refused(NO_KEY) when none is published, with the refusal of the last one when none made it. Undecided(WORK_BUDGET)
    when there are too many to try.
    """
    refusal = Refused(Reason.NO_KEY, "the object brings no key, and no record publishes one in full (`3 1 0`, `3 0 0`)")
    budget = Budget(PUBLISHED_KEYS)
    for presented in published:
        try:
            budget.spend()
            return presented, proved_by(signed, presented)
        except Refused as error:
            refusal = error
        except LimitExceeded as error:
            raise Undecided(Reason.WORK_BUDGET, str(error)) from error
    raise refusal


def as_published(presented: Presented, published: Sequence[Presented]) -> Presented:
    """The certificate that a record publishes of a bare key that was presented, so that `3 0 0` finds what it names;
    otherwise what was presented."""
    if presented.raw_public_key is None:
        return presented
    for known in published:
        if known.chain and _is_of(known.chain[0], presented.raw_public_key):
            return known
    return presented


def _is_of(certificate: bytes, spki: bytes) -> bool:
    try:
        return spki_of(certificate) == spki
    except Malformed:
        return False


@lru_cache(maxsize=1024)
def _signing_spki(certificate: bytes) -> bytes:
    if not may_sign(certificate):
        raise BadSignature("the certificate's keyUsage does not let its key sign objects")
    return spki_of(certificate)
