"""Looking up what the DNS publishes about a name, a mailbox or a `dns:` URI. What it means is `verify.discovered`.

    for found in await discover(subject_of("ann@cars.example"), resolver):
        ...

The server that a `dns:` URI may name is never asked (RFC 4501 section 4): the resolver is the caller's.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import dns.name

from dnsbound.credential.pkix_cd import is_of_pkix_cd
from dnsbound.dns.answer import Outcome, Security
from dnsbound.edge.authenticator import LOOKUP_SECONDS, LookupSource
from dnsbound.edge.pkix_cd import PkixCd
from dnsbound.errors import LimitExceeded, Malformed, Refused, Undecided
from dnsbound.names import ClientName, name_or_mailbox
from dnsbound.object_limits import PKIX_CD_LEVELS
from dnsbound.objects.signer_name import name_of_uri
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds
from dnsbound.verify.discovered import Found, Published, found_at, places_of, whole_certificate
from dnsbound.verify.read_answers import tlsa_records

_URI: Final = "dns:"


def subject_of(text: str) -> ClientName:
    """Whom a text means: a name, a mailbox, or what a `dns:` URI names. Malformed."""
    if text[: len(_URI)].lower() == _URI:
        return name_of_uri(text)
    return name_or_mailbox(text.removesuffix("."))


async def discover(
    subject: ClientName,
    resolver: LookupSource,
    *,
    deadline: Seconds = LOOKUP_SECONDS,
    clock: Callable[[], Moment] = time.time,
    danger_pkix_cd: PkixCd | None = None,
) -> tuple[Found, ...]:
    """Every place where records of the subject can stand, one after the other. deadline: seconds for each.

    danger_pkix_cd: believe certificates at `4 0 0` records by the web's authorities, whether or not the zone is signed;
    they log nobody in."""
    found = []
    for place in places_of(subject):
        begun_at = clock()
        answer = await resolver.lookup(dns.name.from_text(place.owner), place.rdtype, deadline=deadline)
        found.append(found_at(place, answer, now=clock(), begun_at=begun_at))
    if danger_pkix_cd is not None:
        return await asyncio.to_thread(_with_pkix_cd, subject, tuple(found), danger_pkix_cd, clock())
    return tuple(found)


def discover_blocking(
    subject: ClientName,
    resolver: LookupSource,
    *,
    deadline: Seconds = LOOKUP_SECONDS,
    clock: Callable[[], Moment] = time.time,
    danger_pkix_cd: PkixCd | None = None,
) -> tuple[Found, ...]:
    """As `discover`, for a thread that may wait."""
    found = []
    for place in places_of(subject):
        begun_at = clock()
        answer = resolver.lookup_blocking(dns.name.from_text(place.owner), place.rdtype, deadline=deadline)
        found.append(found_at(place, answer, now=clock(), begun_at=begun_at))
    if danger_pkix_cd is not None:
        return _with_pkix_cd(subject, tuple(found), danger_pkix_cd, clock())
    return tuple(found)


def _with_pkix_cd(subject: ClientName, found: tuple[Found, ...], pkix_cd: PkixCd, now: Moment) -> tuple[Found, ...]:
    """With what PKIX-CD makes of records of usage 4 at the name itself."""
    return tuple(
        _judged_by_web(place, subject, pkix_cd, now) if place.place.owner == subject.text else place for place in found
    )


def _judged_by_web(found: Found, subject: ClientName, pkix_cd: PkixCd, now: Moment) -> Found:
    answer = found.answer
    if answer.outcome is not Outcome.RECORDS or answer.security not in (Security.SECURE, Security.INSECURE):
        return found
    try:
        records = [record for record in tlsa_records(answer) if is_of_pkix_cd(record)]
    except Undecided:
        return found
    kept = [shown for shown in found.records if shown.record not in {record.to_text() for record in records}]
    judged = [_certificate_of(record, subject, pkix_cd, now) for record in records[: PKIX_CD_LEVELS.default]]
    if not any(shown.uses for shown in judged):
        return replace(found, records=(*kept, *judged))
    return replace(found, records=(*kept, *judged), reason=None, detail="")


def _certificate_of(record: TLSA, subject: ClientName, pkix_cd: PkixCd, now: Moment) -> Published:
    text = record.to_text()
    try:
        pkix_cd.check(record.data, name=subject, now=now)
        return whole_certificate(record.data, text, "certificate by the web's authorities (PKIX-CD)")
    except (Refused, Undecided, Malformed, LimitExceeded) as error:
        return Published(record=text, what="certificate of PKIX-CD", why=str(error))
