"""Wired 802.1X without a switch: hostapd at one end of a cable, wpa_supplicant at the other."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from interop.daemon import START_SECONDS, Daemon, free_port, program, run, started
from interop.namespaces import HERE, Plug, cable, namespace
from interop.radius_eapol import Supplicant
from interop.radius_examples import example


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """hostapd at its interface. disconnect_port: where it takes Disconnect-Requests, on loopback."""

    daemon: Daemon
    control: Path
    plug: Plug
    disconnect_port: int

    def stations(self) -> dict[str, dict[str, str]]:
        """What `hostapd_cli all_sta` says of each MAC address: key to value."""
        done = run([program("hostapd_cli"), "-p", str(self.control), "-i", self.plug.interface, "all_sta"])
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, dict[str, str]] = {}
        for line in done.stdout.splitlines():
            key, equals, value = line.partition("=")
            if re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", line):
                found[line] = {}
            elif equals and found:
                found[next(reversed(found))][key] = value
        return found

    def authorised(self) -> bool:
        """Whether the port is open for the one who is at the other end."""
        return any("[AUTHORIZED]" in station.get("flags", "") for station in self.stations().values())


@contextlib.contextmanager
def authenticator(
    directory: Path,
    plug: Plug,
    *,
    port: int,
    secret: str,
    accounting: int | None = None,
    disconnect_port: int | None = None,
) -> Iterator[Authenticator]:
    """hostapd with the configuration of the examples. port, accounting: of the RADIUS server, on loopback.
    disconnect_port: a free one unless it is said."""
    disconnect_port, control = disconnect_port or free_port(), directory / "hostapd"
    text = example(
        "hostapd-wired.conf",
        {
            "interface=eth1": f"interface={plug.interface}",
            "/run/hostapd": str(control),
            "192.0.2.10": "127.0.0.1",
            "192.0.2.20": "127.0.0.1",
            "auth_server_port=1812": f"auth_server_port={port}",
            "acct_server_port=1813": f"acct_server_port={accounting or port}",
            "office-secret-for-examples": secret,
            "radius_das_port=3799": f"radius_das_port={disconnect_port}",
        },
    )
    if accounting is None:
        text = "".join(line for line in text.splitlines(keepends=True) if "acct_" not in line)
    configuration = directory / "hostapd.conf"
    configuration.write_text(text)
    command = plug.namespace.command([program("hostapd"), "-d", str(configuration)])
    with started(command, directory / "hostapd.log") as daemon:
        daemon.wait_for(lambda: b"AP-ENABLED" in daemon.log.read_bytes(), "hostapd watches its port")
        yield Authenticator(daemon=daemon, control=control, plug=plug, disconnect_port=disconnect_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class WiredSupplicant:
    daemon: Daemon

    def events(self) -> list[str]:
        """`CTRL-EVENT-...` words, in order."""
        return re.findall(r"CTRL-EVENT-[A-Z-]+", self.daemon.output.read_text(errors="replace"))

    def wait_for_event(self, *names: str, times: int = 1, seconds: float = START_SECONDS) -> None:
        """Until one of these has come, so many times in all."""
        self.daemon.wait_for(
            lambda: sum(event.removeprefix("CTRL-EVENT-") in names for event in self.events()) >= times,
            f"{names} comes",
            seconds=seconds,
        )


@contextlib.contextmanager
def wired_supplicant(directory: Path, plug: Plug, supplicant: Supplicant) -> Iterator[WiredSupplicant]:
    """wpa_supplicant with the wired configuration of the examples."""
    configuration = directory / "wpa_supplicant.conf"
    text = supplicant.text("wpa_supplicant-wired.conf")
    configuration.write_text(text.replace("/run/wpa_supplicant", str(directory / "wpa_supplicant")))
    command = [program("wpa_supplicant"), "-D", "wired", "-i", plug.interface, "-c", str(configuration), "-d"]
    with started(plug.namespace.command(command), directory / "wpa_supplicant.log") as daemon:
        yield WiredSupplicant(daemon=daemon)


@contextlib.contextmanager
def port_and_device() -> Iterator[tuple[Plug, Plug]]:
    """A cable from here, where the RADIUS server is on loopback, to a namespace with the device alone in it."""
    with namespace() as device, cable(HERE, device) as plugs:
        yield plugs
