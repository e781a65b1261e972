"""The faces of the verify service by the word that `protocol` of a front says. A protocol that is not here is none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dnsbound.edge.authz_brokers import EmqxFace, RabbitFace
from dnsbound.edge.authz_envoy import EnvoyFace
from dnsbound.edge.authz_freeradius import FreeRadiusFace
from dnsbound.edge.authz_http import HttpFace
from dnsbound.edge.authz_ssh import SshFace
from dnsbound.edge.authz_streams import LineFace, PolicyFace
from dnsbound.edge.served_front import Face

FACES: Final[Mapping[str, Face]] = MappingProxyType(
    {
        "http": HttpFace(),
        "envoy-grpc": EnvoyFace(),
        "postfix": PolicyFace(),
        "lines": LineFace(),
        "ssh": SshFace(),
        "rabbitmq": RabbitFace(),
        "emqx": EmqxFace(),
        "freeradius": FreeRadiusFace(),
    }
)
