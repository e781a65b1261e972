"""Faces for OpenSSH: which key may log in to an account (AuthorizedKeysCommand), and which key a host has
(KnownHostsCommand).

    AuthorizedKeysCommand /usr/bin/curl -sf --max-time 5 --unix-socket /run/dnsbound/ssh.sock -G
        --data-urlencode account=%u --data-urlencode type=%t --data-urlencode key=%k http://localhost/ssh/authorized-keys

The answer is the line that lets the key in, or nothing. sshd asks before the client has proved anything, so that only
names are looked up that the access list permits and that are granted this account; sshd itself then demands the proof.
An account is a name's when the name's grants list it in `ssh_accounts`, or when the account is called by the name.
`%t` and `%k` are the key that was offered, so that the answer is about this key alone. What could not be found out has
status 503, and no line. Keys that nobody has cost lookups of the same names again and again where the DNS is silent:
each account has so many in a minute, and then none.

Of a certificate (`%t` ends in `-cert-v01@openssh.com`) the key that counts is its CA's: a name's, which is granted
`ssh_authority` over a principal that is a name itself, permitted, and granted the account. The line then trusts the CA
for that one principal.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from typing import Final

from dnsbound.credential.signature import BadSignature
from dnsbound.credential.ssh_certificate import SUFFIX, SshCertificate
from dnsbound.credential.ssh_key import SshKey
from dnsbound.door_limits import SSH_ACCOUNTS, SSH_CERTIFICATE_SECONDS, SSH_LOOKUPS_PER_ACCOUNT
from dnsbound.edge.authz_http import HttpFace
from dnsbound.edge.authz_routes import HttpOptions, HttpRequest, HttpResponse
from dnsbound.edge.front import Allowed, Asked, Denied, Front, FrontDoor
from dnsbound.edge.ssh_accounts import AUTHORITY, AccountNames, is_permitted, signed_names
from dnsbound.edge.ssh_hosts import KnownHostsRoute, lines_answer
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError, Malformed, Misuse, Reason, Refused, Undecided
from dnsbound.names import ClientName
from dnsbound.protocols.form_fields import form_fields
from dnsbound.protocols.ssh_keys import account_of, accounts_of, authorized_line
from dnsbound.verify.claim import NameSource
from dnsbound.verify.token_buckets import TokenBuckets

_NO_NAME: Final = "the account is granted to no name"
_NO_PRINCIPAL: Final = "no principal of the certificate is a name that is granted the account, and that a CA signs for"
_PROTOCOL: Final = "SSH"


class AuthorizedKeysRoute:
    """`/ssh/authorized-keys`."""

    path: Final = "/ssh/authorized-keys"

    def __init__(self) -> None:
        self._accounts: Final = AccountNames()
        self._lookups: Final = TokenBuckets(SSH_LOOKUPS_PER_ACCOUNT.default, SSH_ACCOUNTS.default)

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            fields = form_fields(request.query.encode())
            account, kind, text = account_of(fields.get("account", "")), fields.get("type", ""), fields.get("key", "")
            if kind.endswith(SUFFIX):
                return self._of_certificate(account, SshCertificate.from_text(kind, text), door)
            key = SshKey.from_text(kind, text)
            names = self._accounts.names(account, door.authenticator.access_list, door.front.door)
        except BadSignature as error:
            return _turned_away(Refused(Reason.NO_POSSESSION, str(error)), door)
        except DnsboundError as error:
            door.malformed(error)
            return lines_answer("")
        if not names:
            return _turned_away(Refused(Reason.NOT_PERMITTED, _NO_NAME), door)
        return self._judge(account, key, names, door)

    async def _judge(self, account: str, key: SshKey, names: list[ClientName], door: FrontDoor) -> HttpResponse:
        answers = await self._ask(account, [(key, name) for name in names], door)
        lines = []
        for answer in answers:
            # The list may have changed while the DNS was asked.
            if not isinstance(answer, Allowed) or not _has(account, answer.name, accounts_of(answer.grants)):
                continue
            try:
                lines.append(authorized_line(key, answer.name, answer.grants))
            except Misuse as error:
                door.malformed(error)
        return _answer(lines[:1], answers)

    def _of_certificate(
        self, account: str, certificate: SshCertificate, door: FrontDoor
    ) -> HttpResponse | Awaitable[HttpResponse]:
        lasts = certificate.lasts()
        if lasts is None or lasts > SSH_CERTIFICATE_SECONDS.default:
            detail = f"the certificate lasts longer than {SSH_CERTIFICATE_SECONDS.default} s"
            return _turned_away(Refused(Reason.CHAIN_INVALID, detail), door)
        access, label = door.authenticator.access_list, door.front.door
        pairs = [
            (principal, authority)
            for principal in _names_of(certificate.principals)
            if is_permitted(access, label, principal)
            and _has(account, principal, accounts_of(access.permit(label, principal).grants))
            for authority in self._accounts.authorities(principal, access, label)
        ]
        if not pairs:
            return _turned_away(Refused(Reason.NOT_PERMITTED, _NO_PRINCIPAL), door)
        return self._judge_authorities(account, certificate, pairs, door)

    async def _judge_authorities(
        self, account: str, certificate: SshCertificate, pairs: list[tuple[ClientName, ClientName]], door: FrontDoor
    ) -> HttpResponse:
        wanted = list(dict.fromkeys(authority for _, authority in pairs))
        answers = await self._ask(account, [(certificate.authority, authority) for authority in wanted], door)
        believed = {answer.name: answer for answer in answers if isinstance(answer, Allowed)}
        lines = []
        for principal, authority in pairs:
            answer = believed.get(authority)
            if answer is None or not is_permitted(signed_names(answer.grants), AUTHORITY, principal):
                continue
            try:
                grants = door.authenticator.permit(principal).grants
                lines.append(authorized_line(certificate.authority, principal, grants, is_authority=True))
            except (Misuse, Refused) as error:
                door.malformed(error)
        return _answer(list(dict.fromkeys(lines)), answers)

    async def _ask(
        self, account: str, asked: Sequence[tuple[SshKey, ClientName]], door: FrontDoor
    ) -> list[Allowed | Denied]:
        """All at once, so that a silent DNS is waited for once."""
        return await asyncio.gather(*(self._ask_one(account, key, name, door) for key, name in asked))

    async def _ask_one(self, account: str, key: SshKey, name: ClientName, door: FrontDoor) -> Allowed | Denied:
        asked = Asked(raw_public_key=key.spki, name=name.text, protocol=_PROTOCOL)
        if (answer := door.at_hand(asked)) is not None:
            return answer
        now = door.authenticator.now()
        if self._lookups.level(account, now) < 1:
            return door.turned_away(Undecided(Reason.LOOKUP_BUDGET, f"account {account} caused too many lookups"))
        self._lookups.take(account, 1, now)
        return await door.ask(asked)


def _has(account: str, name: ClientName, accounts: tuple[str, ...]) -> bool:
    return account == name.canonical or account in accounts


def _names_of(principals: tuple[str, ...]) -> list[ClientName]:
    """Those that are names; OpenSSH's principals may be any word."""
    found = []
    for principal in principals:
        try:
            found.append(ClientName.parse(principal))
        except Malformed:
            continue
    # What sshd compares is the octets.
    return [name for name in found if name.canonical in principals]


def _turned_away(verdict: Refused, door: FrontDoor) -> HttpResponse:
    door.turned_away(verdict)
    return lines_answer("")


def _answer(lines: Sequence[str], answers: Sequence[Allowed | Denied]) -> HttpResponse:
    if not lines and any(isinstance(answer, Denied) and answer.is_undecided for answer in answers):
        return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE)
    return lines_answer("".join(lines))


class SshFace(HttpFace):
    """A `Face`."""

    def __init__(self) -> None:
        super().__init__((AuthorizedKeysRoute(), KnownHostsRoute()))

    def options(self, table: TomlTable, front: Front) -> HttpOptions:
        if NameSource.STATED not in front.claim_from:
            raise table.wrong('is ["stated"]: SSH keys show no name', "claim_from")
        return super().options(table, front)
