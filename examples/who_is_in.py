"""A server tells who is in, forgets a name at once when it is told to, and shares a decision log with other doors."""

import asyncio

import stage

import dnsbound
from dnsbound.edge.board_asking import ForgottenAt, forget_everywhere, who
from dnsbound.edge.board_lines import Inside
from dnsbound.edge.decision_log import DecisionLog
from dnsbound.edge.door_board import DoorBoard


def door(at: stage.Stage, decisions: DecisionLog) -> dnsbound.Authenticator:
    access = dnsbound.AccessList.allowing("api", ["*._device.cars.example"])
    return dnsbound.Authenticator(access, at.world.resolver(), door="api", on_decision=decisions)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            writer.write(line)
    except (OSError, dnsbound.DnsboundError) as error:
        print(f"the server sees: {error}")


async def main(at: stage.Stage, door: dnsbound.Authenticator) -> None:
    board = DoorBoard.open("api", "cars", directory=at.files)
    board.watch(door)
    context = dnsbound.Context.server(dnsbound.load_credential(at.files / "server.pem"), authenticator=door)
    server = await dnsbound.start_server(serve, "127.0.0.1", 0, context=context)
    port = server.sockets[0].getsockname()[1]

    # A record that caches may keep for an hour.
    truck = at.world.organisation("cars.example").device("truck1", ttl=3600)
    mine = dnsbound.Context.client(truck.credential)
    mine.load_verify_locations(at.files / "web-root.pem")
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=mine, server_hostname="localhost")
    writer.write(b"still here\n")
    await reader.readline()
    for each in await asyncio.to_thread(list, who(board.path)):
        if isinstance(each, Inside):
            print(f"{each.name} is in, at the door {each.door}")

    truck.revoke()
    for told in await asyncio.to_thread(forget_everywhere, truck.name, directory=at.files):
        if isinstance(told, ForgottenAt):
            print([(forgotten.door, forgotten.cut, forgotten.state) for forgotten in told.doors])
    await reader.read()
    writer.close()
    server.close()
    board.close()


if __name__ == "__main__":
    with stage.stage() as at, DecisionLog(at.files / "decisions.jsonl") as decisions:
        asyncio.run(main(at, door(at, decisions)))
        print(len((at.files / "decisions.jsonl").read_text().splitlines()), "decisions")
