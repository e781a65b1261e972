"""Looking up what the DNS publishes about a name, a mailbox or a `dns:` URI. What it means is `verify.discovered`.

    for found in await discover(subject_of("ann@cars.example"), resolver):
        ...

The server that a `dns:` URI may name is never asked (RFC 4501 section 4): the resolver is the caller's.
"""

import time
from collections.abc import Callable
from typing import Final

import dns.name

from dnsbound.edge.authenticator import LOOKUP_SECONDS, LookupSource
from dnsbound.names import ClientName, MailboxName
from dnsbound.objects.signer_name import name_of_uri
from dnsbound.times import Moment, Seconds
from dnsbound.verify.discovered import Found, found_at, places_of

_URI: Final = "dns:"


def subject_of(text: str) -> ClientName:
    """Whom a text means: a name, a mailbox, or what a `dns:` URI names. Malformed."""
    if text[: len(_URI)].lower() == _URI:
        return name_of_uri(text)
    text = text.removesuffix(".")
    return MailboxName.parse(text) if "@" in text else ClientName.parse(text)


async def discover(
    subject: ClientName,
    resolver: LookupSource,
    *,
    deadline: Seconds = LOOKUP_SECONDS,
    clock: Callable[[], Moment] = time.time,
) -> tuple[Found, ...]:
    """Every place where records of the subject can stand, one after the other. deadline: seconds for each."""
    found = []
    for place in places_of(subject):
        begun_at = clock()
        answer = await resolver.lookup(dns.name.from_text(place.owner), place.rdtype, deadline=deadline)
        found.append(found_at(place, answer, now=clock(), begun_at=begun_at))
    return tuple(found)


def discover_blocking(
    subject: ClientName,
    resolver: LookupSource,
    *,
    deadline: Seconds = LOOKUP_SECONDS,
    clock: Callable[[], Moment] = time.time,
) -> tuple[Found, ...]:
    """As `discover`, for a thread that may wait."""
    found = []
    for place in places_of(subject):
        begun_at = clock()
        answer = resolver.lookup_blocking(dns.name.from_text(place.owner), place.rdtype, deadline=deadline)
        found.append(found_at(place, answer, now=clock(), begun_at=begun_at))
    return tuple(found)
