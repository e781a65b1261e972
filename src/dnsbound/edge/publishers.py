"""Opening the publisher of a target: its secrets are read here, from files that are for their owner alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from dnsbound.dns.tsig import TsigKey
from dnsbound.edge.secret_files import read_secret_file
from dnsbound.errors import Malformed, Misuse
from dnsbound.provision.publish.octodns_provider import OctoDnsPublisher, open_provider
from dnsbound.provision.publish.powerdns import PowerDnsPublisher, parse_api_key
from dnsbound.provision.publish.publisher import Publisher
from dnsbound.provision.publish.rfc2136 import Rfc2136Publisher
from dnsbound.provision.publish.targets import OctoDnsTarget, PowerDnsTarget, Rfc2136Target, Target


def load_tsig_key(path: Path) -> TsigKey:
    """A TSIG key in one of the forms `TsigKey.parse` reads. Misuse when the file cannot be read or others may read it,
    Malformed when it holds none; both name the file."""
    octets = read_secret_file(path)
    try:
        return TsigKey.parse(octets.decode())
    except UnicodeDecodeError:
        raise Malformed(f"{path}: no text") from None
    except Malformed as error:
        raise Malformed(f"{path}: {error}") from None


def _rfc2136(target: Rfc2136Target) -> Publisher:
    return Rfc2136Publisher(target, load_tsig_key(target.key_file))


def load_api_key(path: Path) -> str:
    """The key of an HTTP API, the one line of a file. Misuse, without the key, when it cannot be read, others may read
    it, or it is something else."""
    octets = read_secret_file(path)
    try:
        return parse_api_key(octets)
    except Misuse as error:
        raise Misuse(f"{path}: {error}") from None


def _powerdns(target: PowerDnsTarget) -> Publisher:
    return PowerDnsPublisher(target, load_api_key(target.key_file))


def _octodns(target: OctoDnsTarget) -> Publisher:
    return OctoDnsPublisher(target, open_provider(target.config, target.provider))


_OPENERS: Final[Mapping[str, Callable[[Any], Publisher]]] = MappingProxyType(
    {Rfc2136Target.kind: _rfc2136, PowerDnsTarget.kind: _powerdns, OctoDnsTarget.kind: _octodns}
)


def open_publisher(target: Target) -> Publisher:
    """The publisher of a target that takes changes; close it in the end. Misuse where there is nothing to send changes
    to: zone files are written whole, and the embedded authority answers out of the inventory."""
    if target.kind not in _OPENERS:
        raise Misuse(f"{target.zone} is published by {target.kind}, which takes no changes")
    return _OPENERS[target.kind](target)
