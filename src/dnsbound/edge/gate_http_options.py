"""The options of an HTTP gate, `[gate.LABEL.options]` of gate.toml, as the rules its filter keeps.

    strangers = "refuse"    # or "pass": clients without a name come in too, and have no identity fields
    forwarded = "replace"   # or "append": X-Forwarded-For of a client stays, its address behind it
    client_cert = false     # whether the back end gets the client's certificate too, as Client-Cert (RFC 9440)
    head_octets = 32768     # of a request or response before its content

What the words mean is `dnsbound.protocols.gate_http`.
"""

from dnsbound.door_limits import HTTP_HEAD_OCTETS
from dnsbound.edge.toml_tables import TomlTable
from dnsbound.protocols.gate_http import HttpRules
from dnsbound.protocols.http_fields import Forwarded


def http_rules(options: TomlTable) -> tuple[HttpRules, bool]:
    """The rules, and whether strangers come in; Malformed, with file and line, for what cannot be."""
    rules = HttpRules(
        forwarded=options.chosen("forwarded", {each.value: each for each in Forwarded}, Forwarded.REPLACE),
        client_cert=options.flag("client_cert"),
        head_octets=options.number("head_octets", HTTP_HEAD_OCTETS),
    )
    return rules, options.chosen("strangers", {"refuse": False, "pass": True}, default=False)
