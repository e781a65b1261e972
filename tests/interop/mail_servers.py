"""A Postfix of the test's own, and a mail server behind it that shows what arrives.

Postfix runs as root with its own configuration, queue and log below a directory that its unprivileged processes may
enter; nothing of the system's Postfix is read or written.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiosmtpd.smtp
import pytest
from aiosmtpd.controller import Controller

from interop.daemon import Daemon, free_port, program, run, started

HOST: Final = "mail.isp.example"
_SERVICES: Final = """\
postlog unix-dgram n - n - 1 postlogd
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
pickup unix n - n 60 1 pickup
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
error unix - - n - - error
retry unix - - n - - error
tlsmgr unix - - n 1000? 1 tlsmgr
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
scache unix - - n - 1 scache
"""


@dataclass
class Inbox:
    """A mail server that takes everything. messages: whole, as they came."""

    messages: list[str] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(  # noqa: N802 (aiosmtpd's form)
        self, _server: aiosmtpd.smtp.SMTP, _session: aiosmtpd.smtp.Session, envelope: aiosmtpd.smtp.Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.messages.append(envelope.content.decode())
        return "250 taken"


@contextlib.contextmanager
def inbox() -> Iterator[Inbox]:
    made = Inbox()
    made.port = free_port()
    controller = Controller(made, hostname="127.0.0.1", port=made.port)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Postfix:
    """port: of its smtpd. log: what it says."""

    port: int
    log: Path
    daemon: Daemon


@contextlib.contextmanager
def postfix(behind: Inbox, *, more: str = "") -> Iterator[Postfix]:
    """One that gives mail of those who may relay to `behind`, and takes mail for its own domain away. more: lines of
    main.cf."""
    if os.geteuid():
        pytest.skip("Postfix starts as root alone")
    with tempfile.TemporaryDirectory(prefix="dnsbound-postfix-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        for name in ("etc", "spool", "data", "sasl"):
            (directory / name).mkdir(mode=0o755)
        (directory / "sasl" / "smtpd.conf").write_text("pwcheck_method: auxprop\nmech_list: ANONYMOUS\n")
        run(["chown", "postfix", str(directory / "data")])
        log = directory / "spool" / "log"
        port = free_port()
        (directory / "etc" / "main.cf").write_text(_main(directory, log, behind.port) + more)
        (directory / "etc" / "master.cf").write_text(f"127.0.0.1:{port} inet n - n - - smtpd\n{_SERVICES}")
        log.touch()
        etc = str(directory / "etc")
        with started([program("postfix"), "-c", etc, "start-fg"], directory / "started") as daemon:
            try:
                daemon.wait_for(lambda: _greets(port), "Postfix listens")
                yield Postfix(port=port, log=log, daemon=daemon)
            finally:
                run([program("postfix"), "-c", etc, "stop"])


def _main(directory: Path, log: Path, behind: int) -> str:
    return f"""\
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = {HOST}
mydestination = {HOST}
mynetworks =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps =
local_transport = discard:
default_transport = smtp:[127.0.0.1]:{behind}
maillog_file = {log}
maillog_file_prefixes = {directory}
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
smtpd_sasl_security_options =
cyrus_sasl_config_path = {directory}/sasl
smtpd_sasl_authenticated_header = yes
smtpd_peername_lookup = no
"""


def _greets(port: int) -> bool:
    async def ask() -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            return (await asyncio.wait_for(reader.readline(), 5)).startswith(b"220 ")
        finally:
            writer.close()

    return asyncio.run(ask())
