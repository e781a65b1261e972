"""Faces for OpenSSH: which key may log in to an account (AuthorizedKeysCommand), and which key a host has
(KnownHostsCommand).

    AuthorizedKeysCommand /usr/bin/curl -sf --max-time 5 --unix-socket /run/dnsbound/ssh.sock -G
        --data-urlencode account=%u --data-urlencode type=%t --data-urlencode key=%k http://localhost/ssh/authorized-keys

The answer is the line that lets the key in, or nothing. sshd asks before the client has proved anything, so that only
names are looked up that the access list permits and that are granted this account; sshd itself then demands the proof.
An account is a name's when the name's grants list it in `ssh_accounts`, or when the account is called by the name.
Patterns grant accounts to nobody: which names they stand for could not be told. `%t` and `%k` are the key that was
offered, so that the answer is about this key alone. What could not be found out has status 503, and no line.
"""

import contextlib
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Final

from dnsbound.credential.ssh_key import SshKey
from dnsbound.door_limits import SSH_ACCOUNT_NAMES
from dnsbound.edge.authz_http import HttpFace
from dnsbound.edge.authz_routes import HttpOptions, HttpRequest, HttpResponse
from dnsbound.edge.front import Allowed, Asked, Front, FrontDoor
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.errors import DnsboundError, LimitExceeded, Malformed, Misuse, Reason, Refused
from dnsbound.names import ClientName
from dnsbound.protocols.form_fields import form_fields
from dnsbound.protocols.ssh_keys import SshHost, account_of, accounts_of, authorized_line
from dnsbound.verify.access import AccessList
from dnsbound.verify.claim import NameSource

_TEXT: Final = (b"Content-Type", b"text/plain")
_ORDER: Final = "ORDER"
"""ssh_config(5), token %I: ssh asks before it knows a key, to learn which kinds to ask for."""
_NO_NAME: Final = "the account is granted to no name"


class AuthorizedKeysRoute:
    """`/ssh/authorized-keys`."""

    path: Final = "/ssh/authorized-keys"

    def __init__(self) -> None:
        self._accounts: Final = AccountNames()

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            fields = form_fields(request.query.encode())
            account = account_of(fields.get("account", ""))
            key = SshKey.from_text(fields.get("type", ""), fields.get("key", ""))
            names = self._accounts.names(account, door.authenticator.access_list, door.front.door)
        except DnsboundError as error:
            door.malformed(error)
            return _lines("")
        if not names:
            door.authenticator.turned_away(Refused(Reason.NOT_PERMITTED, _NO_NAME), source=door.front.label)
            return _lines("")
        return self._judge(account, key, names, door)

    async def _judge(self, account: str, key: SshKey, names: list[ClientName], door: FrontDoor) -> HttpResponse:
        lines, open_questions = [], 0
        for name in names:
            answer = await door.ask(Asked(raw_public_key=key.spki, name=name.text, protocol="SSH"))
            if not isinstance(answer, Allowed):
                open_questions += answer.is_undecided
                continue
            # The list may have changed while the DNS was asked.
            if account not in (answer.name.canonical, *accounts_of(answer.grants)):
                continue
            try:
                lines.append(authorized_line(key, answer.name, answer.grants))
            except Misuse as error:
                door.malformed(error)
        if not lines and open_questions:
            return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE)
        return _lines("".join(lines[:1]))


class AccountNames:
    """Which names an account is granted to, by the exact entries of a door; remembered for one access list."""

    def __init__(self) -> None:
        self._of: tuple[int, str] | None = None
        self._names: dict[str, list[ClientName]] = {}

    def names(self, account: str, access: AccessList, door: str) -> list[ClientName]:
        """Those that the door permits. LimitExceeded for too many."""
        if self._of != (access.generation, door):
            self._names = _accounts(access, door)
            self._of = (access.generation, door)
        found = list(self._names.get(account, ()))
        with contextlib.suppress(Malformed):  # most accounts are called by no name
            if (own := ClientName.parse(account)) not in found:
                found.append(own)
        permitted = [name for name in found if _is_permitted(access, door, name)]
        if len(permitted) > SSH_ACCOUNT_NAMES.default:
            raise LimitExceeded(SSH_ACCOUNT_NAMES.name, f"account {account} is granted to {len(permitted)} names")
        return permitted


def _accounts(access: AccessList, door: str) -> dict[str, list[ClientName]]:
    found: dict[str, list[ClientName]] = {}
    for text, grants in access.grants(door):
        if "*" not in text:
            for account in set(accounts_of(grants)):
                found.setdefault(account, []).append(ClientName.parse(text))
    return found


def _is_permitted(access: AccessList, door: str, name: ClientName) -> bool:
    try:
        access.permit(door, name)
    except Refused:
        return False
    return True


class KnownHostsRoute:
    """`/ssh/known-hosts`. The name on the access list is the owner of the host's record, `_22._tcp.HOST`."""

    path: Final = "/ssh/known-hosts"

    def answer(self, request: HttpRequest, door: FrontDoor) -> HttpResponse | Awaitable[HttpResponse]:
        try:
            fields = form_fields(request.query.encode())
            if fields.get("why") == _ORDER:
                return _lines("")
            host = SshHost.from_text(fields.get("host", ""))
            key = SshKey.from_text(fields.get("type", ""), fields.get("key", ""))
            owner = host.owner
        except (Malformed, LimitExceeded) as error:
            door.malformed(error)
            return _lines("")
        return self._judge(host, key, owner, door)

    async def _judge(self, host: SshHost, key: SshKey, owner: ClientName, door: FrontDoor) -> HttpResponse:
        answer = await door.ask(Asked(raw_public_key=key.spki, name=owner.text, protocol="SSH host"))
        if isinstance(answer, Allowed):
            return _lines(host.known_line(key))
        return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE) if answer.is_undecided else _lines("")


def _lines(text: str) -> HttpResponse:
    return HttpResponse(status=HTTPStatus.OK, fields=(_TEXT,), body=text.encode("ascii"))


class SshFace(HttpFace):
    """A `Face`."""

    def __init__(self) -> None:
        super().__init__((AuthorizedKeysRoute(), KnownHostsRoute()))

    def options(self, table: TomlTable, front: Front) -> HttpOptions:
        if NameSource.STATED not in front.claim_from:
            raise table.wrong('is ["stated"]: SSH keys show no name', "claim_from")
        return super().options(table, front)
