"""FreeRADIUS: stays what it is, and hands devices with DNS names on to our RADIUS server.

Seen with 3.2.1, as a proxy before ours. Its own EAP-TLS refuses every certificate that does not chain to its `ca_file`
before any module is asked; with one that does, `dnsbound serve authz` can judge what is left (docs/howto/
verify-service-faces.md). The texts are those of examples/radius, which the tests run.
"""

from typing import Final

from dnsbound.adapters.fronts.asking_radius import WORKS, radius_server
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version, heading

FACTS: Final = Facts(
    server="freeradius",
    title="FreeRADIUS as a proxy",
    program="freeradius",
    least=Version((3, 0)),
    tried=Version((3, 2, 1)),
    checked=False,
    protocol="radius",
    users=("freerad",),
    unix=False,
    tcp=False,
    admits='{ names = ["*._device.cars.example"], grants = { vlan = "12" } }',
    # It hands requests on and takes none of the server's own.
    front_options=('dynamic_authorisation = "none"',),
    listen="192.0.2.20:1812",
    works=(*WORKS, "all else stays with FreeRADIUS"),
    limits=("admitting by record in its own EAP-TLS, which believes its ca_file alone",),
)

_PROXY: Final = """\
# For proxy.conf. Devices with DNS names go to dnsbound; everything else stays here.
home_server dnsbound1 {{
    type = auth
    ipaddr = {address}
    port = {port}
    secret = {secret}
    response_window = 20
    zombie_period = 40
    status_check = status-server
    check_interval = 30
}}
home_server dnsbound1-accounting {{
    type = acct
    ipaddr = {address}
    port = {accounting_port}
    secret = {secret}
    status_check = status-server
}}
home_server_pool dnsbound {{
    # All packets of a conversation must reach one server: never plain load-balance.
    type = client-port-balance
    home_server = dnsbound1
}}
home_server_pool dnsbound-accounting {{
    type = fail-over
    home_server = dnsbound1-accounting
}}
realm dnsbound {{
    auth_pool = dnsbound
    acct_pool = dnsbound-accounting
    nostrip
}}
"""
_ROUTE: Final = r"""# The first lines of `authorize` and of `preacct` in sites-enabled/default: before `suffix`, `eap`.
# Devices say `@cars.example`, or their whole name, which has no `@`.
if (&User-Name =~ /^@/ || &User-Name =~ /^[^@]+\._[a-z]+\.[^@]+$/) {
    update control {
        &Proxy-To-Realm := "dnsbound"
    }
}
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """The server to hand devices to, and which ones those are."""
    server = radius_server(settings)
    proxy, route = f"dnsbound-{settings.label}-proxy.conf", f"dnsbound-{settings.label}-route.conf"
    first = heading(FACTS, settings) + _PROXY.format_map(server)
    return (
        ConfigFile(name=proxy, text=first, place=f"/etc/freeradius/3.0/{proxy}", secret=True),
        ConfigFile(name=route, text=_ROUTE, place=f"/etc/freeradius/3.0/{route}"),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
