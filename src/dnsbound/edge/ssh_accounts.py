"""Which names an SSH account is granted to, and which CA may sign certificates for them, by the entries of a door.

    { names = ["alice._user.cars.example"], grants = { ssh_accounts = ["deploy"] } }
    { names = ["ssh-ca._service.cars.example"], grants = { ssh_authority = ["*._user.cars.example"] } }

An account is granted by exact entries: which names a pattern stands for could not be told, and each would have to be
looked up. An account that is called by a name is that name's. `ssh_authority` says for whom a CA may sign
certificates; those names must be permitted themselves, and be granted the account. What this is not: a verdict.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dnsbound.door_limits import SSH_ACCOUNT_NAMES
from dnsbound.errors import LimitExceeded, Malformed, Refused
from dnsbound.names import ClientName
from dnsbound.protocols.ssh_keys import accounts_of
from dnsbound.verify.access import AccessList

AUTHORITY: Final = "ssh_authority"
"""The grant that lists the names, exact or patterns, for which a CA may sign certificates."""


class AccountNames:
    """Looked through once for each access list, and remembered for that one."""

    def __init__(self) -> None:
        self._of: tuple[int, str] | None = None
        self._names: dict[str, list[ClientName]] = {}
        self._authorities: list[tuple[ClientName, AccessList]] = []

    def names(self, account: str, access: AccessList, door: str) -> list[ClientName]:
        """Those that the door permits. LimitExceeded for too many."""
        self._look_through(access, door)
        found = list(self._names.get(account, ()))
        with contextlib.suppress(Malformed):  # most accounts are called by no name
            if (own := ClientName.parse(account)) not in found:
                found.append(own)
        return _few(account, (name for name in found if is_permitted(access, door, name)))

    def authorities(self, name: ClientName, access: AccessList, door: str) -> list[ClientName]:
        """The names of CAs that may sign for this one, and that the door permits. LimitExceeded for too many."""
        self._look_through(access, door)
        found = (authority for authority, signed in self._authorities if is_permitted(signed, AUTHORITY, name))
        return _few(f"of {name}", (authority for authority in found if is_permitted(access, door, authority)))

    def _look_through(self, access: AccessList, door: str) -> None:
        if self._of == (access.generation, door):
            return
        names: dict[str, list[ClientName]] = {}
        authorities: list[tuple[ClientName, AccessList]] = []
        for text, grants in access.grants(door):
            if "*" in text:
                continue
            name = ClientName.parse(text)
            for account in set(accounts_of(grants)):
                names.setdefault(account, []).append(name)
            if AUTHORITY in grants:
                authorities.append((name, signed_names(grants)))
        self._names, self._authorities, self._of = names, authorities, (access.generation, door)


def signed_names(grants: Mapping[str, Any]) -> AccessList:
    """The names a CA with these grants may sign for, at a door that is called `AUTHORITY`. A grant that is no list of
    names and patterns grants nothing."""
    texts = grants.get(AUTHORITY, ())
    if not isinstance(texts, tuple | list) or not all(isinstance(text, str) for text in texts):
        texts = ()
    try:
        return AccessList.allowing(AUTHORITY, texts)
    except Malformed:
        return AccessList.allowing(AUTHORITY, ())


def _few(account: str, names: Iterable[ClientName]) -> list[ClientName]:
    found = list(names)
    if len(found) > SSH_ACCOUNT_NAMES.default:
        raise LimitExceeded(SSH_ACCOUNT_NAMES.name, f"account {account} is granted to {len(found)} names")
    return found


def is_permitted(access: AccessList, door: str, name: ClientName) -> bool:
    """Whether the list has the name at the door."""
    try:
        access.permit(door, name)
    except Refused:
        return False
    return True
