"""Kamailio around its snippet, and clients that send a request over TLS."""

import re
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dnsbound.adapters.fronts import kamailio
from dnsbound.errors import PeerError
from dnsbound.testing.front_trials.clients import SECONDS, context
from dnsbound.testing.front_trials.running import Around, Running, ServerTrial
from dnsbound.testing.front_trials.service_clients import Attempt, Seen

_DOMAIN: Final = "trial.example"
_OCTETS: Final = 65_536
_SCRIPT: Final = """\
#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children=1
tcp_children=2
server_signature=no
mpath="{modules}/"
include_file "{snippet}"
request_route {{
    route(DNSBOUND);
    append_to_reply("X-Seen: $(hdr(Dnsbound-Name)[0])\\r\\nX-Others: $(hdr(Dnsbound-Name)[1]) $hdr(P-Asserted-Identity)\\r\\n");
    send_reply("200", "OK");
    exit;
}}
"""  # noqa: E501 (a call is one line to Kamailio)


def _around(program: str, place: Path, files: Sequence[Path]) -> Around:
    modules = next((path for path in Path("/usr").glob("lib*/**/kamailio/modules") if (path / "tls.so").exists()), None)
    if modules is None or not (modules / "http_client.so").exists():
        raise PeerError("Kamailio's modules tls and http_client are not installed")
    options = ["-DD", "-E", "-P", f"{place}/pid", "-Y", str(place), "-m", "64", "-M", "16"]
    text = _SCRIPT.format(modules=modules, snippet=files[0])
    return Around(command=[program, "-f", f"{place}/kamailio.cfg", *options], files={"kamailio.cfg": text})


def _asks(running: Running, attempt: Attempt) -> Seen:
    """One REGISTER. Its answer says as whom it was seen."""
    user = f"<sip:{attempt.name}@{_DOMAIN}>"
    tag = secrets.token_hex(8)
    lines = [
        f"REGISTER sip:{_DOMAIN} SIP/2.0",
        f"Via: SIP/2.0/TLS 127.0.0.1:5999;branch=z9hG4bK{tag}",
        "Max-Forwards: 10",
        f"To: {user}",
        f"From: {user};tag={tag}",
        f"Call-ID: {tag}",
        "CSeq: 1 REGISTER",
        f"Contact: <sip:{attempt.name}@127.0.0.1:5999;transport=tls>",
        *(_forged(attempt.forged) if attempt.forged else ()),
        "Content-Length: 0",
    ]
    try:
        tls = context(running.way, attempt.credential, attempt.version)
        with (
            socket.create_connection(("127.0.0.1", running.way.port), SECONDS) as plain,
            tls.wrap_socket(plain, server_hostname=running.way.server_name) as connection,
        ):
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            answer = connection.recv(_OCTETS).decode(errors="replace")
    except OSError as error:
        return Seen(words=str(error))
    status = answer.partition("\r\n")[0] or "closed"
    if " 200 " not in status:
        return Seen(words=status)
    seen = re.search(r"^X-Seen: (.*)\r$", answer, re.MULTILINE)
    others = re.search(r"^X-Others: <null> <null>\r$", answer, re.MULTILINE)
    return Seen(words=status, name=seen[1] if seen and others else "whom the client likes")


def _forged(name: str) -> list[str]:
    fields = ("Dnsbound-Name", "DNSBOUND-NAME", "dnsbound_name")
    return [*(f"{field}: {name}" for field in fields), f"P-Asserted-Identity: <sip:{name}@{_DOMAIN}>"]


TRIAL: Final = ServerTrial(snippet=kamailio.SNIPPET, kind="service", around=_around, asks=_asks, forges=True)
