"""The faces of the verify service by the word that `protocol` of a front says. A protocol that is not here is none."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dnsbound.edge.authz_http import HttpFace
from dnsbound.edge.served_front import Face

FACES: Final[Mapping[str, Face]] = MappingProxyType(
    {
        "http": HttpFace(),
    }
)
