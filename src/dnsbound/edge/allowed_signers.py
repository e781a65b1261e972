"""ssh-keygen's file of allowed signers, made from the DNS: for those who judge signatures without this package.

The file is true when it is made, and grows old: a removed record ends a signer here, and not in a copy of the file. A
record that is a digest has no key in it, and gives no line.
Section: ssh-keygen(1), ALLOWED SIGNERS.
"""

import time
from collections.abc import Callable
from typing import Final

import dns.name
import dns.rdatatype

from dnsbound.credential.certificate_facts import spki_of
from dnsbound.credential.ssh_key import SshKey
from dnsbound.edge.authenticator import LookupSource
from dnsbound.errors import Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.iana import MatchingType, Selector, Usage
from dnsbound.names import ClientName
from dnsbound.objects.sshsig import GIT
from dnsbound.records.tlsa import TLSA
from dnsbound.times import Moment, Seconds
from dnsbound.verify.access import AccessList
from dnsbound.verify.engine import check_answer
from dnsbound.verify.read_answers import tlsa_records

_NO_KEY: Final = "its records are digests, or of keys that SSH has not: no line can be made of them"


def allowed_lines(
    access: AccessList,
    resolver: LookupSource,
    *,
    door: str,
    deadline: Seconds,
    clock: Callable[[], Moment] = time.time,
) -> tuple[list[str], list[tuple[str, Refused | Undecided]]]:
    """Lines for the exact names of a door, and why there is none for the others. Misuse for a door without entries."""
    if not access.entries(door):
        raise Misuse(f"the access list lets nobody in at door {door!r}")
    lines: list[str] = []
    errors: list[tuple[str, Refused | Undecided]] = []
    for text, _ in access.grants(door):
        if "*" in text:
            errors.append((text, Refused(Reason.NO_KEY, "which names a pattern stands for is not known")))
            continue
        try:
            name = ClientName.parse(text)
            access.permit(door, name)
            keys = _keys(name, resolver, deadline, clock)
            lines += [f'{name.canonical} namespaces="{GIT}" {key.to_text()}' for key in keys]
        except (Refused, Undecided) as error:
            errors.append((text, error))
    return lines, errors


def _keys(name: ClientName, resolver: LookupSource, deadline: Seconds, clock: Callable[[], Moment]) -> list[SshKey]:
    begun_at = clock()
    answer = resolver.lookup_blocking(dns.name.from_text(name.text), dns.rdatatype.TLSA, deadline=deadline)
    check_answer(answer, now=clock(), begun_at=begun_at)
    if answer.wildcard:
        raise Refused(Reason.WILDCARD_KEY, "the record is a wildcard's")
    keys = []
    for record in tlsa_records(answer):
        try:
            keys.append(SshKey.from_spki(_published(record)))
        except Malformed:
            continue
    if not keys:
        raise Refused(Reason.NO_KEY, _NO_KEY)
    return keys


def _published(record: TLSA) -> bytes:
    if (record.usage, record.matching_type) != (Usage.DANE_EE, MatchingType.FULL) or record.unusable_because:
        raise Malformed("no key in full")
    return record.data if record.selector == Selector.SPKI else spki_of(record.data)
