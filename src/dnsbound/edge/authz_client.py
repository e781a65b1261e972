"""A question to a verify service at its Unix socket, asked once: what a program of the same machine needs of it.

    reply = ask(Path("/run/dnsbound/ssh.sock"), "/ssh/authorized-keys", {"account": "deploy", ...}, seconds=5)

What this is not: a client for many questions at a time, or over TCP.
"""

import http.client
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from dnsbound.errors import Misuse, Reason, Undecided
from dnsbound.times import Seconds

_MAX_OCTETS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Reply:
    """status: of HTTP."""

    status: HTTPStatus
    body: bytes


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: Seconds) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(path: Path, target: str, fields: Mapping[str, str], *, seconds: Seconds) -> Reply:
    """fields: the query. Undecided(DNS_FAILED) where no answer came; Misuse where there is nobody to ask."""
    connection = _Connection(path, seconds)
    try:
        connection.request("GET", f"{target}?{urlencode(fields, quote_via=quote, safe='')}")
        response = connection.getresponse()
        body = response.read(_MAX_OCTETS + 1)
        status = HTTPStatus(response.status)
    except (FileNotFoundError, ConnectionRefusedError, PermissionError) as error:
        raise Misuse(f"{path}: no verify service answers here: {(error.strerror or str(error)).lower()}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Undecided(Reason.DNS_FAILED, f"{path}: the verify service did not answer: {error}") from error
    finally:
        connection.close()
    if len(body) > _MAX_OCTETS:
        raise Undecided(Reason.DNS_FAILED, f"{path}: the answer is longer than one can be")
    return Reply(status, body)
