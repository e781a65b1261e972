"""Prosody around its two snippets, and clients and servers that log in by SASL EXTERNAL."""

import base64
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import prosody, prosody_s2s
from dnsbound.adapters.fronts.installed import found
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.clients import SECONDS, context
from dnsbound.testing.front_trials.running import Around, Running, ServerTrial
from dnsbound.testing.front_trials.service_clients import Attempt, Seen
from dnsbound.testing.front_trials.stage import SERVER_NAME

_OCTETS: Final = 65_536
_MOST: Final = 1_000_000
_GLOBAL: Final = """\
pidfile = "{place}/pid"; data_path = "{place}/data"
s2s_ports = {{}}
log = {{ {{ levels = {{ min = "debug" }}; to = "file"; filename = "{place}/log" }} }}
modules_enabled = {{ "saslauth", "tls", "disco" }}; modules_disabled = {{ "s2s", "posix" }}
Include "{snippet}"
"""
_GLOBAL_S2S: Final = """\
pidfile = "{place}/pid"; data_path = "{place}/data"
c2s_ports = {{}}
log = {{ {{ levels = {{ min = "debug" }}; to = "file"; filename = "{place}/log" }} }}
Include "{snippet}"
"""
_HEAD: Final = (
    f"<?xml version='1.0'?><stream:stream to='{SERVER_NAME}' xmlns='jabber:client'"
    " xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
).encode()
_S2S_HEAD: Final = (
    f"<?xml version='1.0'?><stream:stream to='{SERVER_NAME}' from='{{name}}' xmlns='jabber:server'"
    " xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
)
_FEATURES: Final = rb"</stream:features>"
_BIND: Final = b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    del program  # it only says the version
    return _server(_GLOBAL, place, files)


def _around_s2s(program: str, place: Path, files: Sequence[Path]) -> Around:
    del program
    return _server(_GLOBAL_S2S, place, files)


def _server(settings: str, place: Path, files: Sequence[Path]) -> Around:
    server = found("prosody")
    if server is None:
        raise PeerError("prosody is not installed beside prosodyctl")
    text = settings.format(place=place, snippet=files[0])
    command = [server, "-F", "--config", f"{place}/prosody.cfg.lua"]
    return Around(command=command, files={"prosody.cfg.lua": text})


def _asks(running: Running, attempt: Attempt) -> Seen:
    """One login, and the address that the server binds the stream to."""
    identity = f"{attempt.name}@{SERVER_NAME}"
    return _with_tls(running, attempt, _HEAD, lambda connection: _login(connection, identity))


def _asks_as_server(running: Running, attempt: Attempt) -> Seen:
    """One login of another server, and whom the server speaks with afterwards."""
    head = _S2S_HEAD.format(name=attempt.name).encode()
    return _with_tls(running, attempt, head, lambda connection: _server_login(connection, head, attempt.name))


def _with_tls(running: Running, attempt: Attempt, head: bytes, login: Callable[[ssl.SSLSocket], Seen]) -> Seen:
    tls = context(running.way, attempt.credential, attempt.version)
    try:
        with socket.create_connection(("127.0.0.1", running.way.port), SECONDS) as plain:
            _said(plain, head, _FEATURES)
            _said(plain, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", rb"<proceed")
            with tls.wrap_socket(plain, server_hostname=running.way.server_name) as connection:
                return login(connection)
    except OSError as error:
        return Seen(words=str(error))


def _login(connection: ssl.SSLSocket, identity: str) -> Seen:
    answer = _authenticated(connection, _HEAD, identity)
    if isinstance(answer, Seen):
        return answer
    _said(connection, _HEAD, _FEATURES)
    bound = re.search(rb"<jid>([^<@]*)@", _said(connection, _BIND, rb"</iq>"))
    return Seen(words="success", name=bound[1].decode() if bound else "nobody")


def _server_login(connection: ssl.SSLSocket, head: bytes, name: str) -> Seen:
    answer = _authenticated(connection, head, name)
    if isinstance(answer, Seen):
        return answer
    spoken_with = re.search(rb"<stream:stream[^>]* to='([^']*)'", _said(connection, head, _FEATURES))
    return Seen(words="success", name=spoken_with[1].decode() if spoken_with else "nobody")


def _authenticated(connection: ssl.SSLSocket, head: bytes, identity: str) -> bytes | Seen:
    """The answer that says yes; else what came."""
    features = _said(connection, head, _FEATURES + rb"|</stream:stream>")
    if b"EXTERNAL" not in features:
        why = re.search(rb"<stream:error>\s*<([a-z-]+)", features)
        return Seen(words=why[1].decode() if why else "EXTERNAL is not offered")
    told = base64.b64encode(identity.encode()).decode()
    auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{told}</auth>"
    answer = _said(connection, auth.encode(), rb"<success[^>]*/?>|</failure>|</stream:stream>")
    if b"<success" not in answer:
        why = re.search(rb"<failure[^>]*>\s*<([a-z-]+)", answer)
        return Seen(words=why[1].decode() if why else "the stream ended")
    return answer


def _said(connection: socket.socket, octets: bytes, until: bytes) -> bytes:
    """What comes in answer, as far as the pattern; less where the stream ends."""
    connection.sendall(octets)
    came = b""
    while not re.search(until, came) and len(came) < _MOST and (more := connection.recv(_OCTETS)):
        came += more
    return came


TRIAL: Final = ServerTrial(snippet=prosody.SNIPPET, kind="service", around=_around, asks=_asks)
S2S_TRIAL: Final = ServerTrial(snippet=prosody_s2s.SNIPPET, kind="service", around=_around_s2s, asks=_asks_as_server)
