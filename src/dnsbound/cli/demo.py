"""`dnsbound demo`: the running example from the first key to the last closed door, in one process."""

import json
import logging
import textwrap
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from dnsbound.cli.exit_codes import ExitCode
from dnsbound.cli.options import JsonOption
from dnsbound.cli.output import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dnsbound.cli.demo_clients import Service
    from dnsbound.cli.demo_scenario import Scenario
    from dnsbound.cli.demo_step import StepResult
    from dnsbound.testing.world import World

_START_SECONDS: Final = 10.0


def demo(*, as_json: JsonOption = False) -> int:
    """Show a car let in to an API, two networks and a broker, and believed, by its DNS name, until its record goes."""
    from dnsbound.cli.demo_broker import serving_broker
    from dnsbound.cli.demo_networks import serving_networks
    from dnsbound.cli.demo_scenario import ACCESS, Scenario
    from dnsbound.testing.world import World

    # What a server would log about sessions that end, the steps tell.
    logging.getLogger("dnsbound.radius").addHandler(logging.NullHandler())
    show = _show_json if as_json else _show
    wrong = 0
    with World() as world:
        scenario = Scenario(world)
        with (
            _api(world, scenario) as service,
            serving_networks(world, ACCESS) as networks,
            serving_broker(world, ACCESS) as broker,
        ):
            if not as_json:
                _introduce()
            for result in scenario.steps(service, networks, broker):
                show(result)
                wrong += not result.as_expected
    if not as_json:
        _conclude(wrong, scenario)
    return ExitCode.NO if wrong else ExitCode.YES


@contextmanager
def _api(world: "World", scenario: "Scenario") -> "Iterator[Service]":
    """The API, served by an unmodified uvicorn on a thread and an event loop of its own."""
    import asyncio
    import socket
    import threading

    import uvicorn

    from dnsbound.cli.demo_clients import Service
    from dnsbound.cli.serve_demo_api import application
    from dnsbound.edge.context import Context
    from dnsbound.edge.loop import loop_factory

    context = Context.server(scenario.server_credential, authenticator=scenario.authenticator)
    config = uvicorn.Config(
        application(), log_level="critical", lifespan="off", ssl_context_factory=lambda _config, _default: context
    )
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0))
    ready = threading.Event()

    async def serve() -> None:
        asyncio.get_running_loop().call_soon(ready.set)
        await server.serve(sockets=[listening])

    def run() -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, name="demo-api", daemon=True)
    thread.start()
    try:
        ready.wait(_START_SECONDS)
        yield Service(listening.getsockname()[1], world.directory / "web-root.pem")
    finally:
        server.should_exit = True
        thread.join(_START_SECONDS)
        listening.close()


def _introduce() -> None:
    from dnsbound.cli.demo_scenario import ACCESS

    out = console()
    out.print(
        "A signed miniature Internet runs in this process. The HTTPS API of cars.example, two Wi-Fi networks and an "
        "MQTT broker let in who is on this list:\n"
    )
    out.print(f"{textwrap.indent(ACCESS.strip(), '    ')}\n", style="dim")


def _show(result: "StepResult") -> None:
    mark, style = ("ok", "green") if result.as_expected else ("WRONG", "bold red")
    told = f"{result.outcome} as expected"
    if result.outcome != result.expected:
        told = f"{result.outcome}, expected {result.expected}"
        mark, style = ("skip", "yellow") if result.as_expected else (mark, style)
    out = console()
    out.print(f"{mark:>5}  {result.step}", style=style if not result.as_expected else None)
    out.print(f"       {told}, {result.ms:.0f} ms", style=style)
    if result.reason:
        out.print(f"       {result.reason}", style="dim")


def _show_json(result: "StepResult") -> None:
    print(json.dumps(asdict(result)), flush=True)  # noqa: T201 (this is the program's output)


def _conclude(wrong: int, scenario: "Scenario") -> None:
    out = console()
    out.print()
    if wrong:
        out.print(f"{wrong} step{' did' if wrong == 1 else 's did'} not go as expected.", style="bold red")
        return
    if scenario.revocation_seconds is not None and scenario.disconnect_seconds is not None:
        out.print(f"From the removal of the record to the refusal: {scenario.revocation_seconds:.1f} s,")
        if scenario.broker_seconds is not None:
            out.print(f"until the broker's connection was cut: {scenario.broker_seconds:.1f} s,")
        if scenario.report_seconds is not None:
            out.print(f"until a new report was refused (archived ones still hold): {scenario.report_seconds:.1f} s,")
        out.print(
            f"and until both networks had put the car out: {scenario.disconnect_seconds:.1f} s; by caches running out."
        )
    out.print("No client CA was set up and no client certificate enrolled: a record in the DNS, and a name on a list.")
