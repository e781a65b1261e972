"""Every server that can be tried here, by its word on the command line."""

from collections.abc import Generator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from dnsbound.adapters.fronts.snippet import Version
from dnsbound.errors import Misuse
from dnsbound.testing.front_trials.broker_trial import BrokerTrial
from dnsbound.testing.front_trials.client_trial import ClientTrial
from dnsbound.testing.front_trials.http_trial import HttpTrial
from dnsbound.testing.front_trials.outcome import Outcome
from dnsbound.testing.front_trials.running import ServerTrial, running
from dnsbound.testing.front_trials.service_trial import ServiceTrial
from dnsbound.testing.front_trials.stage import Kind
from dnsbound.testing.front_trials.tcp_trial import TcpTrial

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nginx": "nginx.TRIAL",
        "nginx-stream": "nginx_stream.TRIAL",
        "haproxy": "haproxy.TRIAL",
        "haproxy-tcp": "haproxy.TCP_TRIAL",
        "caddy": "caddy.TRIAL",
        "apache": "apache.TRIAL",
        "envoy": "envoy.TRIAL",
        "envoy-tcp": "envoy.TCP_TRIAL",
        "stunnel": "stunnel.TRIAL",
        "mosquitto": "mosquitto.TRIAL",
        "postfix": "postfix.TRIAL",
        "exim": "exim.TRIAL",
        "openssh": "openssh.TRIAL",
        "kamailio": "kamailio.TRIAL",
        "prosody": "prosody.TRIAL",
        "prosody-s2s": "prosody.S2S_TRIAL",
    }
)

KINDS: Final[Mapping[Kind, type[HttpTrial | TcpTrial | ServiceTrial]]] = MappingProxyType(
    {"http": HttpTrial, "tcp": TcpTrial, "service": ServiceTrial}
)
"""What is tried of each kind of server. Clients are no servers: `ClientTrial` starts one for each identity."""


def server_trial(server: str) -> ServerTrial:
    """Misuse for a server that cannot be tried."""
    if server not in MODULES:
        raise Misuse(f"{server} cannot be tried by this program; what can is {', '.join(MODULES)}")
    module, _, name = MODULES[server].partition(".")
    return cast("ServerTrial", getattr(import_module(f"dnsbound.testing.front_trials.{module}"), name))


def outcomes(
    trial: ServerTrial, program: str, version: Version | None, *, over_tcp: bool = False
) -> Generator[Outcome]:
    """Try the server at this path, one outcome after the other. What was started ends with the iterator: close it.
    PeerError when something does not start."""
    with trial.stage() as stage:
        if trial.kind == "broker":
            yield from BrokerTrial(stage, trial, program, version).run()
            return
        if trial.kind == "client":
            yield from ClientTrial(stage, trial, program, version).run()
            return
        settings = stage.settings(trial.snippet, version=version, over_tcp=over_tcp)
        with running(stage, trial, program, settings) as server:
            yield from KINDS[trial.kind](server).run()
