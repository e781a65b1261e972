"""Which key a host has, for ssh's KnownHostsCommand: by the TLSA record of its port, or the SSHFP record of its name.

The door's access list says by which: `_22._tcp.HOST` permits the record of the port, `HOST` that of the name.
Both count only where they are DNSSEC-secure and were validated here; no AD bit of anybody is believed. SSHFP counts by
SHA-256 alone, and never from a wildcard, which would be one key for every host.
Sections: RFC 4255 sections 2.4 and 4; RFC 6698 section 3; ssh_config(5), KnownHostsCommand.
"""

from collections.abc import Awaitable
from http import HTTPStatus
from typing import Final

import dns.rdatatype

from dnsbound.credential.ssh_key import SshKey
from dnsbound.dns.answer import Answer
from dnsbound.edge.authenticator import Authenticator
from dnsbound.edge.authz_routes import HttpRequest, HttpResponse
from dnsbound.edge.front import Allowed, Asked, FrontDoor
from dnsbound.errors import LimitExceeded, Malformed, Reason, Refused, Undecided
from dnsbound.limits import TLSA_RECORDS
from dnsbound.protocols.form_fields import form_fields
from dnsbound.protocols.ssh_keys import SshHost
from dnsbound.records.sshfp import SSHFP
from dnsbound.verify.decision import Decision, Verdict, verdict_of
from dnsbound.verify.engine import check_answer

_TEXT: Final = (b"Content-Type", b"text/plain")
_ORDER: Final = "ORDER"
"""ssh_config(5), token %I: ssh asks before it knows a key, to learn which kinds to ask for."""
_PROTOCOL: Final = "SSH host"


class KnownHostsRoute:
    """`/ssh/known-hosts`."""

    path: Final = "/ssh/known-hosts"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            fields = form_fields(request.query.encode())
            if fields.get("why") == _ORDER:
                return lines_answer("")
            host = SshHost.from_text(fields.get("host", ""))
            key = SshKey.from_text(fields.get("type", ""), fields.get("key", ""))
            _ = host.owner  # Malformed where the name is too long for one
        except (Malformed, LimitExceeded) as error:
            door.malformed(error)
            return lines_answer("")
        return _judge(host, key, door)


async def _judge(host: SshHost, key: SshKey, door: FrontDoor) -> HttpResponse:
    by_name = door.authenticator.permits(host.name)
    is_undecided = False
    if door.authenticator.permits(host.owner) or not by_name:
        answer = await door.ask(Asked(raw_public_key=key.spki, name=host.owner.text, protocol=_PROTOCOL))
        if isinstance(answer, Allowed):
            return lines_answer(host.known_line(key))
        is_undecided = answer.is_undecided
    if by_name:
        try:
            await check_fingerprint(host, key, door.authenticator, source=door.front.label)
            return lines_answer(host.known_line(key))
        except Undecided:
            is_undecided = True
        except Refused:
            pass
    return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE) if is_undecided else lines_answer("")


async def check_fingerprint(host: SshHost, key: SshKey, authenticator: Authenticator, *, source: str = "") -> None:
    """Refused or Undecided unless a secure SSHFP record of the host's name is this key's. Either way it is a decision
    of the door, and reported."""
    begun_at = authenticator.now()
    refused: Refused | Undecided | None = None
    record = ""
    try:
        authenticator.permit(host.name)
        answer = await authenticator.look_up(host.name, dns.rdatatype.SSHFP)
        check_answer(answer, now=authenticator.now(), begun_at=begun_at)
        record = _matching(answer, key).to_text()
    except (Refused, Undecided) as error:
        refused = error
    now = authenticator.now()
    authenticator.report(
        Decision(
            verdict=Verdict.ADMITTED if refused is None else verdict_of(refused),
            door=authenticator.door,
            at=now,
            seconds=now - begun_at,
            name=host.name.canonical,
            source=source,
            protocol=_PROTOCOL,
            reason=None if refused is None else refused.reason,
            detail="" if refused is None else refused.detail,
            record="" if refused is not None else f"SSHFP {record}",
        )
    )
    if refused is not None:
        raise refused


def _matching(answer: Answer, key: SshKey) -> SSHFP:
    if answer.wildcard:
        raise Refused(Reason.WILDCARD_KEY, "the SSHFP record is a wildcard's")
    if len(answer.records) > TLSA_RECORDS.default:
        raise Undecided(Reason.WORK_BUDGET, f"{len(answer.records)} SSHFP records")
    try:
        records = [SSHFP.from_wire(rdata.to_wire() or b"") for rdata in answer.records]
    except Malformed as error:
        raise Undecided(Reason.BOGUS, f"the answer holds an SSHFP record that is none: {error}") from error
    for record in records:
        if record.names(key.kind, key.blob):
            return record
    if not any(record.is_usable for record in records):
        raise Refused(Reason.TLSA_UNUSABLE, "no SSHFP record has a fingerprint by SHA-256")
    raise Refused(Reason.TLSA_MISMATCH, "no SSHFP record is that of the key")


def lines_answer(text: str) -> HttpResponse:
    """Lines of authorized_keys or known_hosts; none is a no."""
    return HttpResponse(status=HTTPStatus.OK, fields=(_TEXT,), body=text.encode("ascii"))
