"""OpenSSH: sshd asks the verify service which keys may log in to an account, ssh which key a host has; both by curl.

Seen with 9.2p1. The key of a name's TLS certificate is its SSH key: a record 3 1 x is of that. There is no certificate
and no handshake of ours; sshd demands the proof of possession itself.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse

FACTS: Final = Facts(
    server="openssh",
    title="OpenSSH",
    program="sshd",
    version_arguments=("-V",),
    version_pattern=re.compile(r"OpenSSH_(\d+\.\d+)"),
    least=Version((8, 5)),
    tried=Version((9, 2)),
    protocol="ssh",
    claim_from="stated",
    users=("nobody",),
    admits='{ names = ["alice._user.cars.example"], grants = { ssh_accounts = ["deploy"] } }',
    tcp=False,
    listen=":22",
    works=("keys of ECDSA, Ed25519 and RSA", "host keys by record"),
    limits=(
        "records of usage 2, and of the whole certificate (3 0 x): SSH shows a key and no certificate",
        "ML-DSA keys, which OpenSSH does not know",
        "knowing the name where two names have one account and one key; the first of the door counts",
        "cutting a live session when a record goes",
    ),
)

_SSHD: Final = """\
# One file below /etc/ssh/sshd_config.d, or lines at the beginning of sshd_config: of a setting that comes twice, the
# first one counts.
{listen}

# Asked twice for each login: when the key is offered, and when it has signed. The program and every directory above it
# are root's and for root alone to write, or sshd does not run it. %u, %t and %k are the account, the kind of key and
# the key; sshd has no word for the name, so the account says who it can be: names with the grant ssh_accounts = ["%u"].
AuthorizedKeysCommand {curl} --data-urlencode account=%u --data-urlencode type=%t --data-urlencode key=%k http://localhost/ssh/authorized-keys
# Whom the socket of the verify service lets ask.
AuthorizedKeysCommandUser {user}
# Files with keys would be a way around the records, as passwords would be.
AuthorizedKeysFile none
TrustedUserCAKeys none
HostbasedAuthentication no
PasswordAuthentication no
KbdInteractiveAuthentication no
# Sessions learn by which key they came in: the file that SSH_USER_AUTH names.
ExposeAuthInfo yes
"""
_SSH: Final = """\
# For ssh_config of clients on a machine with a verify service: a host is who it is by the record of its key, 3 1 x, at
# _22._tcp.HOST. That name is what the door in access.toml lists; the account that runs ssh is one of `users`.
KnownHostsCommand {curl} --data-urlencode why=%I --data-urlencode host=%H --data-urlencode type=%t --data-urlencode key=%K http://localhost/ssh/known-hosts
StrictHostKeyChecking yes
# Keys that were believed once would be a way around the records.
UserKnownHostsFile none
GlobalKnownHostsFile none
"""  # noqa: E501 (a command is one line to OpenSSH)
_CURL: Final = "/usr/bin/curl -sf --max-time 10 --unix-socket {socket} -G"


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """For sshd and for ssh. Misuse over TCP: anybody of the machine could read the secret in a command's arguments."""
    verifier = settings.verifier
    if not isinstance(verifier, OverUnix):
        raise Misuse("OpenSSH cannot keep a secret in its commands: it asks over a Unix socket alone")
    curl = _CURL.format(socket=quoting.word(str(verifier.path), "the socket"))
    user = quoting.word(verifier.users[0], "the user")
    host = settings.listen.to_text()
    listen = f"ListenAddress {host}" if settings.listen.host else f"Port {settings.listen.port}"
    sshd, ssh = f"dnsbound-{settings.label}.conf", f"dnsbound-{settings.label}-client.conf"
    return (
        ConfigFile(
            name=sshd,
            text=heading(FACTS, settings) + _SSHD.format(curl=curl, user=user, listen=listen),
            place=f"/etc/ssh/sshd_config.d/{sshd}",
        ),
        ConfigFile(name=ssh, text=_SSH.format(curl=curl), place=f"/etc/ssh/ssh_config.d/{ssh}"),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
