"""Mosquitto behind the gate: its user names are verified DNS names, and its own access list goes by them.

Seen with 2.0.11. Its own TLS refuses every certificate that its `cafile` or `capath` does not hold, before anybody
could be asked; so the gate speaks TLS, and Mosquitto listens on a Unix socket that nobody else reaches.
"""

import re
from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.behind_gate import GATE_LIMITS, gate_file
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, OverUnix, Settings, Snippet, Version, heading
from dnsbound.errors import Misuse

FACTS: Final = Facts(
    server="mosquitto",
    title="Mosquitto behind the gate",
    program="mosquitto",
    version_arguments=("-h",),
    version_pattern=re.compile(r"mosquitto version (\d+\.\d+\.\d+)"),
    least=Version((2, 0, 0)),
    tried=Version((2, 0, 11)),
    protocol=None,
    gated=True,
    users=("mosquitto",),
    listen=":8883",
    backend="127.0.0.1:1883",
    works=(
        "every certificate, expired ones too",
        "chains, raw public keys",
        "MQTT 3.1.1, 5.0",
        "live sessions are cut",
    ),
    limits=(
        *GATE_LIMITS,
        "a client whose certificate is not in its capath, where Mosquitto speaks TLS itself",
    ),
)

_CONFIG: Final = """\

# Several listeners have settings of their own only so.
per_listener_settings true

# Where the gate comes, and nobody else: whoever connects here is believed. Keep the socket in a directory of mode 0750
# that is Mosquitto's and the gate's group's, and set UMask=0007 in Mosquitto's unit, for connecting takes the right to
# write to the socket. Leave out every other listener, or give it an access list of its own.
listener 0 {socket}
# The gate has put the verified name in the place of the user name; there are no passwords. It took the client's away.
allow_anonymous true
# Not use_identity_as_username: Mosquitto sees no certificate, and its names would be common names.
acl_file {acl}
"""

_ACL: Final = """\
# Each client has the topics below devices/, then its DNS name. A user name is a verified name here, and nothing else.
pattern readwrite devices/%u/#
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The listener, its access list, and the gate. Misuse over TCP: everybody on the machine would be believed."""
    if not isinstance(settings.verifier, OverUnix):
        raise Misuse("Mosquitto listens for the gate on a Unix socket")
    name, acl = f"dnsbound-{settings.label}.conf", settings.directory / f"dnsbound-{settings.label}.acl"
    socket = str(settings.verifier.path)
    text = _CONFIG.format(socket=quoting.word(socket, "the socket"), acl=quoting.word(str(acl), "the directory"))
    return (
        ConfigFile(name=name, text=heading(FACTS, settings) + text, place=f"/etc/mosquitto/conf.d/{name}"),
        ConfigFile(name=acl.name, text=_ACL, place=str(acl)),
        gate_file(settings, server="Mosquitto", target=f"unix:{socket}"),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
