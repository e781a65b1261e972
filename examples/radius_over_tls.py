"""Network access over RADIUS/TLS: an access point is let in by its DNS name, and through it a car; another car is not,
and an access point whose record goes is cut."""

import asyncio
from pathlib import Path

import stage

import dnsbound
from dnsbound.edge.eap_client import AsNas, Trial, try_eap
from dnsbound.edge.eap_tls_client import EapServerTrust, EapTlsClient, eap_client_context
from dnsbound.edge.radius_client_tls import TlsRadiusClient
from dnsbound.edge.radius_configuration import RadiusConfiguration
from dnsbound.edge.radius_server import RadiusServer
from dnsbound.edge.radius_sockets import bind_all
from dnsbound.iana import RadiusCode
from dnsbound.protocols.eap_peer import EapPeer

RADIUS = """
[server]
radsec = ["127.0.0.1:0"]
credential = "server.pem"
access = "radius-access.toml"

[client.branches]
name = "*._device.isp.example"

[network.visitors]
door = "public.isp.example"
"""
ACCESS = """
[door.radsec]
allow = ["*._device.isp.example"]

[door."public.isp.example"]
allow = [{ names = ["car54._device.cars.example"], grants = { vlan = "visitors" } }]
"""


async def access_point(files: Path, port: int) -> TlsRadiusClient:
    context = dnsbound.Context.client(dnsbound.load_credential(files / "ap1.pem"))
    context.load_verify_locations(files / "web-root.pem")
    return await TlsRadiusClient.open("127.0.0.1", port, context, server_hostname="localhost")


async def join(through: TlsRadiusClient, files: Path, car: str) -> Trial:
    trust = EapServerTrust(name="localhost", authorities=str(files / "web-root.pem"))
    tls = EapTlsClient(eap_client_context(dnsbound.load_credential(files / f"{car}.pem"), trust), trust.name)
    identity = b"@cars.example"
    return await try_eap(through, EapPeer(identity, tls.open), nas=AsNas(ssid="public"), identity=identity)


async def main(at: stage.Stage) -> None:
    isp = at.world.organisation("isp.example")
    dnsbound.save_credential(isp.device("ap1").credential, at.files / "ap1.pem")
    (at.files / "radius.toml").write_text(RADIUS)
    (at.files / "radius-access.toml").write_text(ACCESS)
    configuration = RadiusConfiguration.load(at.files / "radius.toml")
    (bound,) = bind_all(configuration)
    async with RadiusServer(configuration, at.world.resolver(), bound) as server:
        through = await access_point(at.files, bound.radsec[0].getsockname()[1])
        for car in ("car54", "car55"):
            trial = await join(through, at.files, car)
            print(f"{car}: {trial.verdict}")
        isp.remove("ap1._device.isp.example")
        (at.files / "radius-access.toml").write_text(ACCESS + "# read again: everybody is asked about anew\n")
        server.reload()
        try:
            while True:
                await through.ask(RadiusCode.STATUS_SERVER, ())
                await asyncio.sleep(0.1)
        except OSError:
            print("the access point is cut and stays out")
        await through.aclose()


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
