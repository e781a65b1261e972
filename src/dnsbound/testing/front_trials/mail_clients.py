"""A client that sends one message to a mail server under trial, and the mailbox where it should lie then."""

import secrets
import smtplib
from pathlib import Path
from typing import Final

from dnsbound.testing.front_trials.clients import SECONDS, Way, context
from dnsbound.testing.front_trials.programs import START_SECONDS, eventually
from dnsbound.testing.front_trials.service_clients import Attempt, Seen

DOMAIN: Final = "trial.example"
_TAKEN: Final = 250


def send(way: Way, attempt: Attempt) -> str | Seen:
    """The subject of a message that was taken; or what was said instead."""
    key = secrets.token_hex(8)
    told = "".join(f"{field}: {attempt.forged}\r\n" for field in ("Dnsbound-Name", "DNSBOUND_NAME", "Dnsbound-Door"))
    told += f"Received: from {attempt.forged} by {DOMAIN}; Mon, 01 Jan 2024 00:00:00 +0000\r\n"
    message = f"{told if attempt.forged else ''}Subject: {key}\r\n\r\nall well\r\n"
    try:
        with smtplib.SMTP("127.0.0.1", way.port, local_hostname=attempt.name, timeout=SECONDS) as client:
            client.starttls(context=context(way, attempt.credential, attempt.version))
            client.ehlo()
            client.mail("somebody@cars.example")
            code, words = client.rcpt(f"inbox@{DOMAIN}")
            if code != _TAKEN:
                return Seen(words=f"{code} {words.decode(errors='replace')}")
            client.data(message)
    except (OSError, smtplib.SMTPException) as error:
        return Seen(words=str(error))
    return key


def delivered(inbox: Path, key: str) -> str | None:
    """The message of this subject, as it lies in the mailbox; None where it does not come."""

    def is_there() -> bool:
        return inbox.exists() and f"Subject: {key}\n" in inbox.read_text(errors="replace")

    if not eventually(is_there, START_SECONDS):
        return None
    return next(each for each in inbox.read_text(errors="replace").split("\nFrom ") if f"Subject: {key}\n" in each)
