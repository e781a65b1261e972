"""What the DNS publishes about a name, a person or a `dns:` URI, and what each record is good for.

    car54._device.cars.example            TLSA at the name itself
    dns:car54._device.cars.example?...    the same
    ann@cars.example                      SMIMEA and OPENPGPKEY of the mailbox; TLSA of the authority of the domain's
                                          users, at `_user.cars.example`

Only facts and no verdict: nobody is admitted, and no signature is believed, by what is found here. Who looks a
stranger's name up has told the DNS of it: programs look up names that they permit, people what they ask for.
Sections: RFC 6698 section 2.1, RFC 8162, RFC 7929, RFC 4501 section 3, ARCH examples 3 and 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import dns.rdatatype
import dns.rdtypes.ANY.OPENPGPKEY
import dns.rdtypes.tlsabase

from dnsbound.credential.certificate_facts import may_agree_on_keys, may_encipher_keys, may_sign, spki_of
from dnsbound.credential.certificate_parsing import certificate_from_der
from dnsbound.credential.encryption_keys import EncryptionKind, SignsOnly, encryption_key_from_spki, kind_of
from dnsbound.credential.keys import KeyFacts
from dnsbound.dns.answer import Answer
from dnsbound.errors import Malformed, Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.limits import TLSA_RECORDS
from dnsbound.names import USERS_LABEL, ClientName, MailboxName
from dnsbound.records import openpgpkey, smimea
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment
from dnsbound.verify.engine import check_answer


class Use(StrEnum):
    """What a record is good for."""

    LOG_IN = "log in"
    VERIFY = "verify signatures"
    ENCRYPT = "encrypt"
    VOUCH = "vouch for certificates"
    """An authority: those it certifies log in with its certificates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something may be published, and of what type."""

    owner: str
    rdtype: dns.rdatatype.RdataType
    what: str
    """For people: whose records these are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One record, and what it is good for."""

    record: str
    what: str
    """Such as `key`, `digest of a key`, `certificate of an authority`."""
    algorithm: str = ""
    """Of a key that is there in full."""
    uses: tuple[Use, ...] = ()
    needs_key: bool = False
    """The record names the key and does not show it: whoever uses it has the key from elsewhere, and it must match."""
    why: str = ""
    """Why it is good for nothing, or for less than it seems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One place that was looked up."""

    place: Place
    answer: Answer
    records: tuple[Published, ...] = ()
    reason: Reason | None = None
    """Why nothing here counts; None when secure records are there."""
    detail: str = ""


def places_of(subject: ClientName) -> tuple[Place, ...]:
    """Where records of a subject can stand."""
    tlsa = dns.rdatatype.TLSA
    if not isinstance(subject, MailboxName):
        return (Place(owner=subject.text, rdtype=tlsa, what="the name itself"),)
    users = f"{USERS_LABEL}.{subject.domain.canonical}"
    return (
        Place(owner=smimea.owner_of(subject), rdtype=dns.rdatatype.SMIMEA, what="the mailbox, for S/MIME"),
        Place(owner=openpgpkey.owner_of(subject), rdtype=dns.rdatatype.OPENPGPKEY, what="the mailbox, for OpenPGP"),
        Place(owner=users, rdtype=tlsa, what="the domain's users"),
    )


def found_at(place: Place, answer: Answer, *, now: Moment, begun_at: Moment) -> Found:
    """What an answer shows. Of records that are not secure nothing is said but that they are not."""
    try:
        check_answer(answer, now=now, begun_at=begun_at)
    except (Refused, Undecided) as error:
        return Found(place=place, answer=answer, reason=error.reason, detail=error.detail)
    records = tuple(_records(place, answer))
    if not any(record.uses for record in records):
        told = records[0].why if records else "no record can be read"
        return Found(place=place, answer=answer, records=records, reason=Reason.TLSA_UNUSABLE, detail=told)
    return Found(place=place, answer=answer, records=records)


def whole_certificate(certificate: bytes, record: str, what: str) -> Published:
    """A certificate that was believed in another way: it signs and encrypts as its key may, and logs nobody in."""
    spki = spki_of(certificate)
    uses = tuple(_uses(spki, certificate, connects=False))
    return Published(record=record, what=what, algorithm=_algorithm(spki), uses=uses)


def _records(place: Place, answer: Answer) -> Iterator[Published]:
    for rdata in answer.records[: TLSA_RECORDS.default]:
        if isinstance(rdata, dns.rdtypes.ANY.OPENPGPKEY.OPENPGPKEY):
            yield Published(record=f"{len(rdata.key)} octets", what="OpenPGP key", uses=(Use.VERIFY, Use.ENCRYPT))
        elif isinstance(rdata, dns.rdtypes.tlsabase.TLSABase):
            record = TLSA(rdata.usage, rdata.selector, rdata.mtype, rdata.cert)
            yield _association(record, place, from_wildcard=answer.wildcard)


def _association(record: TLSA, place: Place, *, from_wildcard: bool) -> Published:
    text = record.to_text()
    if record.is_block:
        return Published(record=text, what="a block", why="the name's owner has blocked it")
    if record.unusable_because is not None:
        return Published(record=text, what="unusable", why=record.unusable_because)
    subject = "certificate" if record.selector == Selector.CERT else "key"
    shown = subject if record.matching_type == MatchingType.FULL else f"digest of a {subject}"
    if record.usage in (Usage.DANE_TA, Usage.PKIX_TA):
        return _authority(record, text, shown)
    why = _why_not(record, place, from_wildcard=from_wildcard)
    if why:
        return Published(record=text, what=shown, why=why)
    if record.matching_type == MatchingType.FULL:
        return _whole(record, text, shown, place)
    log_in = (Use.LOG_IN,) if place.rdtype == dns.rdatatype.TLSA else ()
    return Published(record=text, what=shown, uses=(*log_in, Use.VERIFY, Use.ENCRYPT), needs_key=True)


def _why_not(record: TLSA, place: Place, *, from_wildcard: bool) -> str:
    """Why a record of one key is good for nothing where it stands."""
    if from_wildcard:
        return "it comes from a wildcard: one key for every name"
    if place.owner.split(".", 1)[0].lower() == USERS_LABEL:
        return f"a {USERS_LABEL} name has authorities: this is one key for all users"
    return "usage 1 counts only where roots are configured" if record.usage == Usage.PKIX_EE else ""


def _authority(record: TLSA, text: str, shown: str) -> Published:
    whole = record.matching_type == MatchingType.FULL
    if record.usage == Usage.PKIX_TA:
        return Published(
            record=text, what=f"{shown} of an authority", why="usage 0 counts only where roots are configured"
        )
    try:
        algorithm = _algorithm(_spki(record)) if whole else ""
    except Malformed as error:
        return Published(record=text, what=f"{shown} of an authority", why=str(error))
    return Published(
        record=text, what=f"{shown} of an authority", algorithm=algorithm, uses=(Use.VOUCH,), needs_key=not whole
    )


def _whole(record: TLSA, text: str, shown: str, place: Place) -> Published:
    """Of a key that is there in full, all that it may do."""
    try:
        spki = _spki(record)
        certificate = record.data if record.selector == Selector.CERT else None
        uses = tuple(_uses(spki, certificate, connects=place.rdtype == dns.rdatatype.TLSA))
        algorithm = _algorithm(spki)
    except Malformed as error:
        return Published(record=text, what=shown, why=str(error))
    why = "" if uses else "a key that is used for nothing here"
    return Published(record=text, what=shown, algorithm=algorithm, uses=uses, why=why)


def _uses(spki: bytes, certificate: bytes | None, *, connects: bool) -> Iterator[Use]:
    try:
        encrypts: EncryptionKind | None = kind_of(encryption_key_from_spki(spki))
    except (SignsOnly, Malformed):
        encrypts = None
    try:
        signs = KeyFacts.from_spki(spki).weak_because is None
    except Malformed:
        signs = False
    if signs and (certificate is None or may_sign(certificate)):
        if connects:
            yield Use.LOG_IN
        yield Use.VERIFY
    if encrypts is not None and (
        certificate is None or (may_agree_on_keys if encrypts.agrees else may_encipher_keys)(certificate)
    ):
        yield Use.ENCRYPT


def _spki(record: TLSA) -> bytes:
    if record.selector == Selector.SPKI:
        return record.data
    certificate_from_der(record.data)
    return spki_of(record.data)


def _algorithm(spki: bytes) -> str:
    try:
        return KeyFacts.from_spki(spki).algorithm
    except Malformed:
        return kind_of(encryption_key_from_spki(spki)).name
