"""The clients of the demonstration: one HTTPS request each, with the name and the key they are given.

`call` speaks through `dnsbound.Context`; `call_with_curl` is an unmodified curl whose certificate carries the name.
Neither knows what the door will say.
"""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dnsbound.credential.credential import Credential
from dnsbound.edge.context import Context
from dnsbound.edge.credential_files import save_credential

HOST: Final = "api.cars.example"
SECONDS: Final = 15.0


@dataclass(frozen=True, slots=True)
class Service:
    """Where the API listens on this machine, and the certificate that vouches for its host name."""

    port: int
    web_root: Path


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: what the API said of its caller, or how the connection ended."""

    admitted: bool
    text: str

    @classmethod
    def greeting(cls, body: str) -> Self:
        """The API's own answer, in a few words."""
        caller = json.loads(body)
        return cls(True, f"{caller['name']}, named by {caller['name_from']}, record {caller['record'][:5]}")


class Caller:
    """One client's connection to the API, kept open between requests."""

    def __init__(self, service: Service, credential: Credential) -> None:
        context = Context.client(credential)
        context.load_verify_locations(service.web_root)
        plain = socket.create_connection(("127.0.0.1", service.port), timeout=SECONDS)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=HOST)
        except BaseException:
            plain.close()
            raise

    def get(self) -> Reply:
        """One request. Being shut out shows at the first read, as TLS 1.3 has it."""
        try:
            self._socket.sendall(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            response = http.client.HTTPResponse(self._socket)
            response.begin()
            text = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return Reply(False, told(error))
        return Reply.greeting(text) if response.status == http.HTTPStatus.OK else Reply(False, text)

    def close(self) -> None:
        self._socket.close()


def told(error: Exception) -> str:
    """The ending of a connection in a few words."""
    return (getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None) or str(error)


def call(service: Service, credential: Credential) -> Reply:
    """Connect, ask once, close."""
    try:
        caller = Caller(service, credential)
    except OSError as error:
        return Reply(False, told(error))
    try:
        return caller.get()
    finally:
        caller.close()


def curl() -> str | None:
    """The program, where there is one."""
    return shutil.which("curl")


def call_with_curl(service: Service, credential: Credential, program: str) -> Reply:
    """The same by curl, which knows nothing of DNS names as identities."""
    with tempfile.TemporaryDirectory(prefix="dnsbound-demo-") as place:
        pem = Path(place, "client.pem")
        save_credential(credential, pem)
        command = [
            *(program, "--silent", "--show-error", "--max-time", str(int(SECONDS)), "--noproxy", "*"),
            *("--resolve", f"{HOST}:{service.port}:127.0.0.1", "--cacert", str(service.web_root)),
            *("--cert", str(pem), "--key", str(pem), f"https://{HOST}:{service.port}/"),
        ]
        run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 5, check=False)  # noqa: S603 (our own arguments)
    return Reply.greeting(run.stdout) if run.returncode == 0 else Reply(False, run.stderr.strip())
