"""Two ways in which a device of the demonstration joins a network: wpa_supplicant's own EAP-TLS, and ours.

`EapolTest` runs an unmodified eapol_test, which is a device and its access point in one; `OwnPeer` does the same with
`dnsbound.edge.eap_client`. Neither knows what the network will say.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from dnsbound.cli.eap_output import reply_facts
from dnsbound.credential.credential import Credential
from dnsbound.edge.credential_files import save_credential
from dnsbound.edge.eap_client import AsNas, TrialVerdict, try_eap
from dnsbound.edge.eap_tls_client import EapServerTrust, EapTlsClient, eap_client_context
from dnsbound.edge.radius_client import UdpRadiusClient
from dnsbound.names import ClientName
from dnsbound.protocols.eap_peer import EapPeer
from dnsbound.protocols.nai import anonymous_identity
from dnsbound.protocols.radius_exchange import Patience
from dnsbound.testing.background_loop import BackgroundLoop

SECONDS: Final = 15
BSSID: Final = "02-00-00-00-00-01"
_PATIENCE: Final = Patience(seconds=SECONDS / 2)
"""For one request of our own peer."""
_VLAN: Final = re.compile(r"^   Attribute 81 \(.*\) length=\d+\n      Value: ([0-9a-f]+)$", re.MULTILINE)
"""Tunnel-Private-Group-Id, as eapol_test prints it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RadiusAt:
    """The RADIUS server: where it is, the secret of its access points, and whom devices believe it to be."""

    port: int
    secret: str
    server_name: str
    authorities: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """Who joins, as which station, through which access point."""

    name: ClientName
    credential: Credential
    ssid: str
    access_point: str
    station: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the device and its access point were told. vlan: `""` where none was said. admitted: with the keys that the
    device has."""

    admitted: bool
    vlan: str = ""
    why: str = ""


class Supplicant(Protocol):
    """Something that joins networks; `text` says what."""

    text: str

    def join(self, radius: RadiusAt, joining: Joining) -> Told: ...


def supplicant() -> Supplicant:
    """The program where there is one."""
    program = shutil.which("eapol_test")
    return OwnPeer() if program is None else EapolTest(program)


class EapolTest:
    """By the program of wpa_supplicant, which knows nothing of DNS names as identities."""

    text = "eapol_test"

    def __init__(self, program: str) -> None:
        self._program = program

    def join(self, radius: RadiusAt, joining: Joining) -> Told:
        with tempfile.TemporaryDirectory(prefix="dnsbound-demo-") as place:
            pem, network = Path(place, "device.pem"), Path(place, "network.conf")
            save_credential(joining.credential, pem)
            network.write_text(_network(radius, joining, pem))
            command = [
                *(self._program, "-c", str(network), "-t", str(SECONDS), "-M", joining.station.replace("-", ":")),
                *("-a", "127.0.0.1", "-p", str(radius.port), "-s", radius.secret),
                *("-N", f"30:s:{BSSID}:{joining.ssid}", "-N", f"32:s:{joining.access_point}"),
            ]
            run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 5, check=False)  # noqa: S603 (our own arguments)
        vlans = _VLAN.findall(run.stdout)
        return Told(
            admitted=run.returncode == 0,
            vlan=bytes.fromhex(vlans[-1]).decode() if vlans else "",
            why=f"eapol_test ended with {run.returncode}",
        )


def _network(radius: RadiusAt, joining: Joining, pem: Path) -> str:
    """wpa_supplicant's configuration of the network."""
    return f"""\
network={{
    ssid="{joining.ssid}"
    key_mgmt=WPA-EAP
    eap=TLS
    identity="{anonymous_identity(joining.name).decode()}"
    ca_cert="{radius.authorities}"
    domain_match="{radius.server_name}"
    client_cert="{pem}"
    private_key="{pem}"
    phase1="tls_disable_tlsv1_3=0"
}}
"""


class OwnPeer:
    """By our own EAP-TLS peer, for machines without eapol_test."""

    text = "our own EAP-TLS peer (eapol_test is not installed)"

    def join(self, radius: RadiusAt, joining: Joining) -> Told:
        with BackgroundLoop("demo-device") as loop:
            return loop.run(self._join(radius, joining), seconds=SECONDS)

    async def _join(self, radius: RadiusAt, joining: Joining) -> Told:
        trust = EapServerTrust(name=radius.server_name, authorities=str(radius.authorities))
        tls = EapTlsClient(eap_client_context(joining.credential, trust), trust.name)
        identity = anonymous_identity(joining.name)
        nas = AsNas(
            nas_identifier=joining.access_point, ssid=joining.ssid, bssid=BSSID, calling_station=joining.station
        )
        secret = radius.secret.encode()
        async with await UdpRadiusClient.open("127.0.0.1", radius.port, secret, patience=_PATIENCE) as asker:
            trial = await try_eap(asker, EapPeer(identity, tls.open), nas=nas, identity=identity)
        return Told(
            admitted=trial.verdict is TrialVerdict.ADMITTED,
            vlan=str(reply_facts(trial.attributes).get("Tunnel-Private-Group-Id", "")),
            why=trial.why,
        )
