"""strongSwan: an IKEv2 gateway whose clients come in by EAP-TLS, judged by our RADIUS server.

Seen with 5.9.8; the tunnel's keys are those of the EAP conversation, so that nobody comes in between. The gateway knows
no client and no client's authority. The texts are those of examples/radius, which the tests run.
"""

from typing import Final

from dnsbound.adapters.fronts import quoting
from dnsbound.adapters.fronts.asking_radius import WORKS, radius_server
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version, heading

FACTS: Final = Facts(
    server="strongswan",
    title="strongSwan as a gateway",
    program="swanctl",
    version_arguments=("--version",),
    least=Version((5, 7)),
    tried=Version((5, 9, 8)),
    checked=False,
    protocol="radius",
    users=("root",),
    unix=False,
    tcp=False,
    front_options=('dynamic_authorisation = "{listen}"',),
    listen="192.0.2.1:3799",
    works=(*WORKS, "tunnels are taken down when their record is gone"),
    limits=("IKEv2 with certificates alone (auth = pubkey): the gateway would judge clients by its own authorities",),
)

_RADIUS: Final = """\
eap-radius {{
    load = yes
    nas_identifier = {nas}
    servers {{
        dnsbound {{
            address = {address}
            auth_port = {port}
            secret = {secret}
        }}
    }}
    # Clients whose records disappear are disconnected at once (RFC 5176).
    dae {{
        enable = yes
        listen = {own}
        port = {disconnect_port}
        secret = {secret}
    }}
}}
"""
_GATEWAY: Final = """\
# The key of the certificate stands in /etc/swanctl/private. Addresses and subnets are yours to say.
connections {{
    devices {{
        version = 2
        local_addrs = {own}
        pools = devices
        local {{
            auth = pubkey
            certs = {certificate}
            id = {nas}
        }}
        remote {{
            auth = eap-radius
            id = %any
            eap_id = %any
        }}
        children {{
            net {{
                local_ts = 10.77.0.0/24
            }}
        }}
    }}
}}
pools {{
    devices {{
        addrs = 10.78.0.0/24
    }}
}}
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The plugin that asks, and a gateway that uses it."""
    server = radius_server(settings)
    gateway = f"dnsbound-{settings.label}.conf"
    certificate = quoting.word(str(settings.certificate), "the certificate")
    first = heading(FACTS, settings) + _RADIUS.format_map(server)
    return (
        ConfigFile(name="eap-radius.conf", text=first, place="/etc/strongswan.d/charon/eap-radius.conf", secret=True),
        ConfigFile(
            name=gateway,
            text=_GATEWAY.format_map({**server, "certificate": certificate}),
            place=f"/etc/swanctl/conf.d/{gateway}",
        ),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
