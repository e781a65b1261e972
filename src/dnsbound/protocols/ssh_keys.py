"""The two kinds of line that OpenSSH reads from a command: a key that may log in to an account, and a host's key.

Sections: sshd(8), AUTHORIZED_KEYS FILE FORMAT and SSH_KNOWN_HOSTS FILE FORMAT. What this is not: a decision about who
may log in, or the form of keys (`credential.ssh_key`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from dnsbound.credential.ssh_key import SshKey
from dnsbound.errors import Malformed, Misuse
from dnsbound.names import ClientName

ACCOUNTS: Final = "ssh_accounts"
"""The grant that lists the accounts a name may log in to."""
OPTIONS: Final = "ssh_options"
"""The grant with the options of the authorized_keys line: a list of texts."""
SSH_PORT: Final = 22
_OPTION: Final = re.compile(r'[a-z][a-z0-9-]*(?:="(?:[^"\\\x00-\x1f\x7f]|\\["\\])*")?')
_OURS: Final = frozenset({"cert-authority", "principals"})
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_HOST: Final = re.compile(r"\[([^\[\]\s]+)\]:([0-9]{1,5})")


def account_of(text: str) -> str:
    """The name of an account, checked: it comes from whoever tries to log in. Malformed."""
    if not _ACCOUNT.fullmatch(text):
        raise Malformed("no name of an account")
    return text


def accounts_of(grants: Mapping[str, Any]) -> tuple[str, ...]:
    """The accounts that a name is granted; none where the grant is not a list of texts, which grants nothing."""
    accounts = grants.get(ACCOUNTS, ())
    if not isinstance(accounts, tuple | list):
        return ()
    return tuple(account for account in accounts if isinstance(account, str))


def authorized_line(key: SshKey, name: ClientName, grants: Mapping[str, Any], *, is_authority: bool = False) -> str:
    """The line that lets the key in, with the granted options. is_authority: the key is that of a CA, which the line
    trusts to have signed for the name as the one principal. Misuse for options that are none: a login without the
    restriction that was meant is worse than no login."""
    options = grants.get(OPTIONS, ())
    if not isinstance(options, tuple | list) or not all(
        isinstance(option, str) and _OPTION.fullmatch(option) for option in options
    ):
        raise Misuse(f"{OPTIONS} of {name} is no list of options of an authorized_keys file")
    if any(option.partition("=")[0] in _OURS for option in options):
        raise Misuse(f"{OPTIONS} of {name} holds {' or '.join(sorted(_OURS))}, which say who comes in")
    if is_authority:
        options = ("cert-authority", f'principals="{name.canonical}"', *options)
    return f"{','.join(options)}{' ' if options else ''}{key.to_text()} {name.canonical}\n"


@dataclass(frozen=True, slots=True)
class SshHost:
    """A host as ssh names it: `name`, or `[name]:port` (ssh_config(5), KnownHostsCommand, token %H)."""

    name: ClientName
    port: int

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Malformed, also for an address, which has no name."""
        found = _HOST.fullmatch(text)
        name, port = (found[1], int(found[2])) if found else (text, SSH_PORT)
        if not 0 < port < 65_536:
            raise Malformed("SSH host: no such port")
        return cls(ClientName.parse(name.lower()), port)

    @property
    def owner(self) -> ClientName:
        """Where its records are (RFC 6698 section 3)."""
        return ClientName.parse(f"_{self.port}._tcp.{self.name.canonical}")

    def to_text(self) -> str:
        return self.name.canonical if self.port == SSH_PORT else f"[{self.name.canonical}]:{self.port}"

    def known_line(self, key: SshKey) -> str:
        return f"{self.to_text()} {key.to_text()}\n"
