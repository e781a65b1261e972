"""EMQX behind the gate: its user names are verified DNS names, and its rules go by them. UNTESTED: no EMQX was at hand.

Written from EMQX 5's documentation. Its own TLS asks for certificates only where a CA vouches for them, so that unknown
ones never reach its HTTP authenticator, which the verify service also answers (`protocol = "emqx"`).
"""

from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.behind_gate import GATE_LIMITS, gate_file
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version, heading

FACTS: Final = Facts(
    server="emqx",
    title="EMQX behind the gate",
    program=None,
    least=Version((5, 0, 0)),
    tried=None,
    protocol=None,
    gated=True,
    users=("emqx",),
    listen=":8883",
    backend="127.0.0.1:1883",
    works=(),
    limits=(
        *GATE_LIMITS,
        "a Unix socket: every program of this machine reaches the listener, and is believed",
        "a client without a CA, where EMQX speaks TLS itself",
    ),
)

_CONFIG: Final = """\

# Where the gate comes, and nobody else: whoever connects here is believed.
listeners.tcp.default.bind = {backend}
# Every other listener would be a way around the gate.
listeners.ssl.default.enable = false
listeners.ws.default.enable = false
listeners.wss.default.enable = false
# The gate has put the verified name in the place of the user name; there are no passwords.
authentication = []
authorization {{
  # EMQX allows by default what no rule is about.
  no_match = deny
  sources = [{{type = file, enable = true, path = {acl}}}]
}}
"""

_ACL: Final = """\
%% Each client has the topics below devices/, then its DNS name. A user name is a verified name here.
{allow, all, all, ["devices/${username}/#"]}.
{deny, all}.
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The listener, its rules, and the gate."""
    name, acl = f"dnsbound-{settings.label}.hocon", settings.directory / f"dnsbound-{settings.label}.acl"
    target = quoting.word(settings.backend.to_text(), "the back end")
    text = _CONFIG.format(
        backend=quoting.json_text(target, "the back end"),
        acl=quoting.json_text(quoting.word(str(acl), "the directory"), "the directory"),
    )
    return (
        ConfigFile(name=name, text=heading(FACTS, settings) + text, place=f"/etc/emqx/{name}"),
        ConfigFile(name=acl.name, text=_ACL, place=str(acl)),
        gate_file(settings, server="EMQX", target=target),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
