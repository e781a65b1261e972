"""A small service of worker processes, run as a program of its own by tests: each worker answers at its own UDP port.

    python worker_service.py '{"workers": 2, "mode": "serves", ...}'

What happens is a line of JSON each on standard output. A worker is told what to do by a datagram: `who`, `die`, `hang`,
or `ask N TEXT`, which passes TEXT on to worker N.
"""

import asyncio
import json
import logging
import os
import socket
import sys
import time

from dnsbound.edge.worker import Announcements
from dnsbound.edge.worker_exchange import WorkerExchange, WorkerInboxes
from dnsbound.edge.worker_processes import Patience, run_workers
from dnsbound.errors import DnsboundError, Misuse


def tell(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Answering(asyncio.DatagramProtocol):
    def __init__(self, worker, exchange):
        self.worker, self.exchange, self.tasks = worker, exchange, set()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        word, *rest = data.decode().split()
        if word == "who":
            self.transport.sendto(json.dumps([self.worker.index, os.getpid(), self.reloads()]).encode(), addr)
        elif word == "die":
            os._exit(7)
        elif word == "hang":
            time.sleep(1000)
        elif word == "ask":
            task = asyncio.get_running_loop().create_task(self.ask(int(rest[0]), rest[1].encode(), addr))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def reloads(self):
        return self.worker.reloads

    async def ask(self, other, text, addr):
        answer = await self.exchange.ask(other, text)
        self.transport.sendto(b"none" if answer is None else answer, addr)


async def answer(worker, request):
    if request == b"silence":
        return None
    if request == b"fail":
        raise ValueError(request)
    if request == b"die":
        os._exit(7)
    if request == b"never":
        await asyncio.sleep(1000)
    return f"{worker.index} {os.getpid()} {request.decode()}".encode()


class OwnLoop(asyncio.SelectorEventLoop):
    """One that is not asyncio's default."""


async def serve(worker, sockets, inboxes, given):
    mode = given["mode"]
    if mode == "own-loop":
        tell(loop=type(asyncio.get_running_loop()).__name__)
    if mode == "refuses" and worker.index == 1:
        raise Misuse("worker 1 has no such network")
    if mode == "breaks" and worker.index == 1:
        raise ZeroDivisionError("in worker 1")
    if mode == "never-ready" and worker.index == 1:
        await worker.ending.wait()
    worker.reloads = 0

    def count():
        worker.reloads += 1

    worker.at_reload(count)
    loop = asyncio.get_running_loop()
    with WorkerExchange(inboxes, worker.index, lambda r: answer(worker, r), seconds=given.get("exchange")) as exchange:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: Answering(worker, exchange), sock=sockets[worker.index]
        )
        worker.ready()
        await worker.ending.wait()
        tell(ending=worker.index)
        if mode == "never-ends":
            await asyncio.sleep(1000)
        transport.close()


def main():
    given = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    count = given["workers"]
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    inboxes = WorkerInboxes(count)
    tell(ports=[each.getsockname()[1] for each in sockets], pid=os.getpid())
    announcements = Announcements(
        ready=lambda: tell(ready=True),
        alive=lambda: tell(alive=True),
        reloaded=lambda: tell(reloaded=True),
        ending=lambda: tell(stopping=True),
    )
    try:
        run_workers(
            lambda worker: serve(worker, sockets, inboxes, given),
            count=count,
            announcements=announcements,
            patience=Patience(**given.get("patience", {})),
            loop_factory=OwnLoop if given["mode"] == "own-loop" else None,
        )
    except DnsboundError as error:
        tell(failed=type(error).__name__, text=str(error))
        sys.exit(1)
    finally:
        inboxes.close()
        for each in sockets:
            each.close()
    tell(ended=True)


if __name__ == "__main__":
    main()
