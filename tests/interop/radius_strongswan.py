"""strongSwan as an IKEv2 gateway that relays EAP-TLS to a RADIUS server, and as a device that wants its tunnel.

Each charon has a namespace, a directory and a control socket of its own. ESP is in user space (kernel-libipsec over
/dev/net/tun), so that no kernel need have it. What keys the tunnel's AUTH payloads is the MSK (RFC 7296 section 2.16):
a tunnel stands only when device and RADIUS server have the same one.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from interop.daemon import Daemon, program, run, started
from interop.namespaces import HERE, Namespace, cable, namespace, private_link
from interop.radius_examples import Pem, example

if TYPE_CHECKING:
    import subprocess

GATEWAY_NAME: Final = "vpn.isp.example"
GATEWAY: Final = "192.0.2.1"
DEVICE: Final = "192.0.2.2"
INSIDE: Final = "10.77.0.1"
"""An address of the network behind the gateway."""
SECONDS: Final = 40
"""How long a tunnel may take."""

_PLUGINS: Final = (
    "random nonce aes sha1 sha2 hmac kdf gcm ccm pem pkcs1 pkcs8 openssl x509 pubkey constraints revocation curve25519 "
    "mgf1 gmp vici kernel-libipsec kernel-netlink socket-default eap-identity eap-tls updown"
)
_CHARON: Final = """
charon-systemd {
    load = @LOAD@
    pid_file = @DIRECTORY@/charon.pid
    journal {
        default = -1
    }
    filelog {
        stdout {
            default = 1
            tls = 1
            flush_line = yes
        }
    }
    tls {
        # Debian's 5.9.8 ends with SIGSEGV where the method over TLS 1.3 says that it succeeded.
        version_max = 1.2
        send_certreq_authorities = no
    }
    plugins {
        vici {
            socket = unix://@DIRECTORY@/vici
        }
        kernel-libipsec {
            allow_peer_ts = yes
        }
        @RADIUS@
    }
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charon:
    """A running charon. swanctl: runs the command of this name upon it."""

    daemon: Daemon
    directory: Path
    inside: Namespace

    def swanctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [program("swanctl"), *words, "--uri", f"unix://{self.directory}/vici"]
        return run(command, env=_environment(self.directory), seconds=SECONDS)

    def initiate(self) -> "subprocess.CompletedProcess[str]":
        """Ask for the tunnel of the examples' device; what came of it."""
        return self.swanctl("--initiate", "--ike", "vpn", "--child", "net", "--timeout", str(SECONDS // 2))

    def tunnels(self) -> str:
        """What it says of its security associations; empty when it has none."""
        return self.swanctl("--list-sas").stdout.strip()


@contextlib.contextmanager
def charon(directory: Path, inside: Namespace, configuration: str, *, own: Pem, radius: str = "") -> Iterator[Charon]:
    """charon with this swanctl.conf. own: whose key it has. radius: the configuration of its eap-radius
    plugin, where it is a gateway."""
    (directory / "swanctl" / "private").mkdir(parents=True)
    shutil.copy(own.key, directory / "swanctl" / "private")
    (directory / "swanctl" / "swanctl.conf").write_text(configuration)
    text = _CHARON.replace("@DIRECTORY@", str(directory)).replace("@RADIUS@", radius)
    text = text.replace("@LOAD@", f"{_PLUGINS} eap-radius" if radius else _PLUGINS)
    (directory / "strongswan.conf").write_text(text)
    command = inside.command([program("charon-systemd")])
    with started(command, directory / "charon.log", env=_environment(directory)) as daemon:
        daemon.wait_for((directory / "vici").is_socket, "charon takes commands")
        running = Charon(daemon=daemon, directory=directory, inside=inside)
        loaded = running.swanctl("--load-all")
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        yield running


def _environment(directory: Path) -> Mapping[str, str]:
    files = {"STRONGSWAN_CONF": str(directory / "strongswan.conf"), "SWANCTL_DIR": str(directory / "swanctl")}
    return {**os.environ, **files}


@dataclass(frozen=True, slots=True, kw_only=True)
class Road:
    """A device and a gateway on one network, and the gateway's way to here. radius: our address on that way. back: the
    gateway's, where it takes Disconnect-Requests on port 3799."""

    device: Namespace
    gateway: Namespace
    radius: str
    back: str


@contextlib.contextmanager
def road() -> Iterator[Road]:
    with contextlib.ExitStack() as made:
        device, gateway = made.enter_context(namespace()), made.enter_context(namespace())
        made.enter_context(cable(gateway, device, addresses=(f"{GATEWAY}/24", f"{DEVICE}/24")))
        ours, theirs = made.enter_context(private_link(HERE, gateway))
        gateway.ip("address", "add", f"{INSIDE}/24", "dev", "lo")
        yield Road(device=device, gateway=gateway, radius=ours, back=theirs)


@contextlib.contextmanager
def gateway(directory: Path, road: Road, *, own: Pem, port: int, secret: str) -> Iterator[Charon]:
    """The gateway of the examples. own: what it shows to devices. port, secret: of the RADIUS server at road.radius."""
    radius = example(
        "strongswan-eap-radius.conf",
        {
            "192.0.2.10": road.radius,
            "listen = 192.0.2.1": f"listen = {road.back}",
            "auth_port = 1812": f"auth_port = {port}",
            "office-secret-for-examples": secret,
        },
    )
    values = {"/etc/dnsbound/gateway.crt": str(own.certificate)}
    with charon(directory, road.gateway, example("strongswan-gateway.conf", values), own=own, radius=radius) as running:
        yield running


@contextlib.contextmanager
def device(directory: Path, road: Road, *, client: Pem, authority: Path, name: str) -> Iterator[Charon]:
    """The device of the examples. authority: whose servers it believes. name: in its certificate."""
    values = {
        "/etc/dnsbound/car54.crt": str(client.certificate),
        "car54._device.cars.example": name,
        "/etc/dnsbound/radius-ca.pem": str(authority),
    }
    with charon(directory, road.device, example("strongswan-device.conf", values), own=client) as running:
        yield running
