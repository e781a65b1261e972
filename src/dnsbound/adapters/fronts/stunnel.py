"""stunnel as a client: a program that knows nothing of TLS logs in by DNS name at somebody's door, a gate for example.

Seen with 5.68. As a server stunnel hands a client's certificate to nobody: it cannot be a front of the verify service.
With `verifyPeer` it lets in certificates that lie in its `CApath`, which the materialiser can write; dates and purposes
are then checked, and a file that is gone bites after a SIGHUP alone.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version, heading

FACTS: Final = Facts(
    server="stunnel",
    title="stunnel as a client",
    program="stunnel",
    version_arguments=("-version",),
    version_pattern=re.compile(r"stunnel (\d+\.\d+)"),
    least=Version((5, 50)),
    tried=Version((5, 68)),
    protocol=None,
    users=("stunnel4",),
    listen="127.0.0.1:1883",
    backend="api.example:8883",
    works=("a program's way to a door of somebody else", "TLS 1.2, TLS 1.3"),
    limits=(
        "as a server: it hands certificates to nobody; put the gate in its place",
        "believing the door by TLSA records: authorities vouch for it",
        "raw public keys",
    ),
)

_CONFIG: Final = """\

# stunnel stays in the foreground, as service managers want it.
foreground = yes
pid =

[dnsbound-{label}]
client = yes
# Where the program connects. Everybody on this machine who can connect there logs in by this name: mind who that is.
accept = {listen}
# The door.
connect = {door}
sni = {name}
sslVersionMin = TLSv1.2
# This machine's own name: a certificate that shows it as its one dNSName, and the key behind its TLSA record.
cert = {certificate}
key = {key}
# Without these three lines stunnel believes any server.
verifyChain = yes
checkHost = {name}
CAfile = {roots}
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """One file: the settings' certificate and key are the client's, its back end is the door."""
    name = f"dnsbound-{settings.label}.conf"
    text = _CONFIG.format(
        label=settings.label,
        listen=settings.listen.to_text().removeprefix(":"),
        door=quoting.word(settings.backend.to_text(), "the door"),
        name=quoting.word(settings.server_name, "the server name"),
        certificate=quoting.word(str(settings.certificate), "the certificate"),
        key=quoting.word(str(settings.key), "the key"),
        roots=quoting.word(str(settings.roots), "the authorities"),
    )
    return (ConfigFile(name=name, text=heading(FACTS, settings) + text, place=f"/etc/stunnel/{name}"),)


SNIPPET: Final = Snippet(facts=FACTS, files=files)
