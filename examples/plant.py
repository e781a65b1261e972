"""A door of an industrial plant, where old controllers speak TLS 1.2, and the list of those that still do."""

import asyncio
import ssl

import stage

import dnsbound
from dnsbound.verify.decision import Decision

still_old: set[str] = set()


def note(decision: Decision) -> None:
    if decision.protocol.startswith("TLSv1.2"):
        still_old.add(decision.name)


def door(at: stage.Stage) -> dnsbound.Context:
    access = dnsbound.AccessList.from_toml('[door.scada]\nallow = ["*._device.cars.example"]\n')
    authenticator = dnsbound.Authenticator(access, at.world.resolver(), door="scada", on_decision=note)
    return dnsbound.Context.server(
        dnsbound.load_credential(at.files / "server.pem"),
        authenticator=authenticator,
        profiles=["ca13", "cid07"],  # in order of preference; cid07 is what opens TLS 1.2
    )


def controller(at: stage.Stage, car: str) -> dnsbound.Context:
    context = dnsbound.Context.client(
        dnsbound.load_credential(at.files / f"{car}.pem"),
        profiles=["ca13", "cid07"],
        clear_name_to=["localhost", "*.plant.example"],  # whom this identity is meant for
    )
    context.load_verify_locations(at.files / "web-root.pem")
    return context


async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = dnsbound.verified_peer()
    assert peer is not None
    writer.write(f"hello {peer.name}\n".encode())
    writer.close()


async def visit(port: int, context: dnsbound.Context) -> str:
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    version = writer.get_extra_info("ssl_object").version()
    said = (await reader.readline()).decode().rstrip()
    writer.close()
    await writer.wait_closed()
    return f"{version}: {said}"


async def main(at: stage.Stage) -> None:
    server = await dnsbound.start_server(greet, "localhost", 0, context=door(at))
    async with server:
        port = server.sockets[0].getsockname()[1]
        print(await visit(port, controller(at, "car54")))  # TLSv1.3: hello car54._device.cars.example
        old = controller(at, "car55")
        old.maximum_version = ssl.TLSVersion.TLSv1_2  # as far as its library goes
        print(await visit(port, old))  # TLSv1.2: hello car55._device.cars.example
    print("still on TLS 1.2:", *sorted(still_old))


if __name__ == "__main__":
    with stage.stage() as at:
        asyncio.run(main(at))
