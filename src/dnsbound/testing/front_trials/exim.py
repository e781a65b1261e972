"""Exim around its snippet, with a mailbox, and clients that send to it by STARTTLS."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import exim
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.mail_clients import DOMAIN, delivered, send
from dnsbound.testing.front_trials.running import Around, Running, ServerTrial
from dnsbound.testing.front_trials.service_clients import Attempt, Seen

_USER: Final = exim.FACTS.users[0]
_TOLD: Final = re.compile(r"^Dnsbound[-_]Name: (\S+)", re.MULTILINE | re.IGNORECASE)
_CONFIGURATION: Final = """\
primary_hostname = {domain}
domainlist local_domains = {domain}
spool_directory = {place}/spool
log_file_path = {place}/log/%s
keep_environment =
exim_user = {user}
exim_group = {user}
never_users =
deliver_drop_privilege
{main}
acl_smtp_rcpt = trial_rcpt
begin acl
trial_rcpt:
{acl}
accept
begin routers
inbox:
  driver = accept
  domains = +local_domains
  transport = inbox
begin transports
inbox:
  driver = appendfile
  file = {place}/mail/inbox
  user = {user}
  no_mode_fail_narrower
"""


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    if os.geteuid() != 0:
        raise PeerError("Exim starts as root alone")
    # What it reads, as the account it leaves for, is that account's; the rest stays root's.
    for name in ("spool", "mail", "log"):
        (place / name).mkdir(mode=0o755, exist_ok=True)
    for path in (*place.iterdir(), *files):
        shutil.chown(path, _USER, _USER)
    main, acl = (path.read_text() for path in files)
    text = _CONFIGURATION.format(domain=DOMAIN, place=place, user=_USER, main=main, acl=acl)
    return Around(command=[program, "-C", str(place / "exim.conf"), "-bdf", "-q1m"], files={"exim.conf": text})


def _asks(running: Running, attempt: Attempt) -> Seen:
    """One message. It was let in when it lies in the mailbox, and the name is the one that Exim has written into it."""
    sent = send(running.way, attempt)
    if isinstance(sent, Seen):
        return sent
    message = delivered(running.stage.place / "mail" / "inbox", sent)
    if message is None:
        return Seen(words="taken, and delivered to nobody", name="nobody")
    told = _TOLD.findall(message)
    if len(told) != 1:
        return Seen(words=f"the message names {told}", name="whom the client likes")
    return Seen(words="taken", name=told[0])


TRIAL: Final = ServerTrial(
    snippet=exim.SNIPPET,
    kind="service",
    around=_around,
    account=_USER,
    starts_as_root=True,
    whole_certificates=True,
    asks=_asks,
    forges=True,
)
