"""Postfix around its snippet, with a mailbox, and clients that send to it by STARTTLS."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import postfix
from dnsbound.adapters.fronts.installed import found
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.mail_clients import DOMAIN, delivered, send
from dnsbound.testing.front_trials.running import Around, Running, ServerTrial
from dnsbound.testing.front_trials.service_clients import Attempt, Seen

_DAEMONS: Final = ("/usr/lib/postfix/sbin", "/usr/libexec/postfix")
_FIRST_RECEIVED: Final = re.compile(r"^Received: from (\S+)", re.MULTILINE)
_MAIN: Final = """\
compatibility_level = 3.6
queue_directory = {place}/spool
data_directory = {place}/data
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = {name}
mydestination =
mynetworks = 192.0.2.1/32
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
smtpd_peername_lookup = no
virtual_mailbox_domains = {name}
virtual_mailbox_base = {place}/mail
virtual_mailbox_maps = static:inbox
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
maillog_file = {place}/spool/log
maillog_file_prefixes = {place}
"""
_MASTER: Final = """\
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
"""


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    del program  # it only says the version
    postfix_, daemons = found("postfix"), next((each for each in _DAEMONS if Path(each, "smtpd").exists()), None)
    if os.geteuid() != 0:
        raise PeerError("Postfix starts as root alone")
    if postfix_ is None or daemons is None:
        raise PeerError("Postfix's daemons are not where they usually are")
    for name, owner in (("spool", None), ("data", "postfix"), ("mail", "postfix")):
        (place / name).mkdir(mode=0o755, exist_ok=True)
        if owner is not None:
            shutil.chown(place / name, owner)
    mail = (place / "mail").stat()
    made = _MAIN.format(place=place, daemons=daemons, name=DOMAIN, uid=mail.st_uid, gid=mail.st_uid)
    return Around(
        command=[postfix_, "-c", str(place), "start-fg"],
        files={"main.cf": made + files[0].read_text(), "master.cf": _MASTER + files[1].read_text()},
        stop=[postfix_, "-c", str(place), "stop"],
    )


def _asks(running: Running, attempt: Attempt) -> Seen:
    """One message. It was let in when it lies in the mailbox, and the name is that of the first Received field."""
    sent = send(running.way, attempt)
    if isinstance(sent, Seen):
        return sent
    message = delivered(running.stage.place / "mail" / "inbox", sent)
    if message is None:
        return Seen(words="taken, and delivered to nobody", name="nobody")
    if re.search(r"^dnsbound", message, re.MULTILINE | re.IGNORECASE):
        return Seen(words="the client's own fields came along", name="whom the client likes")
    received = _FIRST_RECEIVED.search(message)
    return Seen(words="taken", name=received[1] if received else "nobody")


TRIAL: Final = ServerTrial(
    snippet=postfix.SNIPPET,
    kind="service",
    around=_around,
    account="postfix",
    starts_as_root=True,
    asks=_asks,
    forges=True,
)
