"""Every server that `dnsbound config` knows, by the word for it."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, cast

from dnsbound.adapters.fronts.snippet import Snippet
from dnsbound.errors import Misuse

MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "nginx": "nginx.SNIPPET",
        "nginx-stream": "nginx_stream.SNIPPET",
        "haproxy": "haproxy.SNIPPET",
        "haproxy-tcp": "haproxy.TCP_SNIPPET",
        "caddy": "caddy.SNIPPET",
        "apache": "apache.SNIPPET",
        "envoy": "envoy.SNIPPET",
        "envoy-tcp": "envoy.TCP_SNIPPET",
        "stunnel": "stunnel.SNIPPET",
        "traefik": "traefik.SNIPPET",
        "mosquitto": "mosquitto.SNIPPET",
        "emqx": "emqx.SNIPPET",
        "rabbitmq": "rabbitmq.SNIPPET",
        "postfix": "postfix.SNIPPET",
        "exim": "exim.SNIPPET",
        "openssh": "openssh.SNIPPET",
        "kamailio": "kamailio.SNIPPET",
        "prosody": "prosody.SNIPPET",
        "prosody-s2s": "prosody_s2s.SNIPPET",
        "freeradius": "freeradius.SNIPPET",
        "hostapd": "hostapd.SNIPPET",
        "strongswan": "strongswan.SNIPPET",
    }
)
"""The word to its module here, and what that calls it."""


def snippet(server: str) -> Snippet:
    """Misuse for a server that nobody knows."""
    if server not in MODULES:
        raise Misuse(f"no configuration for {server!r}; there is one for {', '.join(MODULES)}")
    module, _, name = MODULES[server].partition(".")
    return cast("Snippet", getattr(import_module(f"dnsbound.adapters.fronts.{module}"), name))
