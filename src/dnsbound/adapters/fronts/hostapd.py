"""hostapd: access points and wired ports that ask our RADIUS server who may come in.

Seen with 2.10: the wired port as a whole, the Wi-Fi file read by it. hostapd passes EAP on and needs nothing of ours;
its own EAP server refuses every certificate that does not chain to its CA, before anybody could ask the DNS. The texts
are those of examples/radius, which the tests run.
"""

from typing import Final

from dnsbound.adapters.fronts.asking_radius import WORKS, radius_server
from dnsbound.adapters.fronts.snippet import ConfigFile, Facts, Settings, Snippet, Version, heading

FACTS: Final = Facts(
    server="hostapd",
    title="hostapd",
    program="hostapd",
    least=Version((2, 9)),
    tried=Version((2, 10)),
    checked=False,
    protocol="radius",
    users=("root",),
    unix=False,
    tcp=False,
    front_options=('dynamic_authorisation = "{listen}"',),
    admits='{ names = ["*._device.cars.example"], grants = { vlan = "12" } }',
    listen="192.0.2.20:3799",
    works=(*WORKS, "devices are disconnected when their record is gone"),
    limits=("hostapd's own EAP server (eap_server=1): no record reaches it",),
)

_WIRED: Final = """\
# A wired port. The interface is yours to say.
interface=eth1
driver=wired
ctrl_interface=/run/hostapd
logger_stdout=-1
logger_stdout_level=1
ieee8021x=1
use_pae_group_addr=1
# The Session-Timeout of the answer says when to ask again.
eap_reauth_period=0
nas_identifier={nas}
own_ip_addr={own}
auth_server_addr={address}
auth_server_port={port}
auth_server_shared_secret={secret}
acct_server_addr={address}
acct_server_port={accounting_port}
acct_server_shared_secret={secret}
radius_acct_interim_interval=600
# Devices whose records disappear are disconnected at once (RFC 5176).
radius_das_port={disconnect_port}
radius_das_client={address} {secret}
radius_das_require_event_timestamp=1
radius_das_require_message_authenticator=1
"""
_WIFI: Final = """\
# WPA3-Enterprise that WPA2 devices may join. Interfaces, the network's name and the channel are yours to say.
interface=wlan0
driver=nl80211
ssid=public
hw_mode=g
channel=6
wpa=2
wpa_key_mgmt=WPA-EAP WPA-EAP-SHA256
rsn_pairwise=CCMP
ieee80211w=1
ieee8021x=1
eap_reauth_period=0
# The VLAN of the answer: 0 none, 1 if it says one, 2 only with one.
dynamic_vlan=1
vlan_tagged_interface=eth0
nas_identifier={nas}
own_ip_addr={own}
auth_server_addr={address}
auth_server_port={port}
auth_server_shared_secret={secret}
acct_server_addr={address}
acct_server_port={accounting_port}
acct_server_shared_secret={secret}
radius_acct_interim_interval=600
radius_request_cui=1
radius_das_port={disconnect_port}
radius_das_client={address} {secret}
radius_das_require_event_timestamp=1
radius_das_require_message_authenticator=1
"""


def files(settings: Settings) -> tuple[ConfigFile, ...]:
    """A wired port, and a wireless network: one of the two is wanted. Both hold the secret."""
    server = radius_server(settings)
    wired, wifi = f"dnsbound-{settings.label}-wired.conf", f"dnsbound-{settings.label}-wifi.conf"
    first = heading(FACTS, settings) + _WIRED.format_map(server)
    return (
        ConfigFile(name=wired, text=first, place=f"/etc/hostapd/{wired}", secret=True),
        ConfigFile(name=wifi, text=_WIFI.format_map(server), place=f"/etc/hostapd/{wifi}", secret=True),
    )


SNIPPET: Final = Snippet(facts=FACTS, files=files)
