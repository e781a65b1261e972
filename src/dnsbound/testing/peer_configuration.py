"""Configuration that points other people's software at a running World: delv, Unbound, dig, kdig, curl.

Texts only; who writes them where is the caller's business (`dnsbound lab` does).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dnsbound.testing.world import RESOLVER_NAME, World

if TYPE_CHECKING:
    from pathlib import Path

_UNBOUND: Final = """\
# Unbound as a validating resolver in front of World's authority. Run: unbound -d -c {directory}/unbound.conf
server:
    directory: "{directory}"
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    do-daemonize: no
    interface: 127.0.0.1
    port: {port}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    do-ip6: no
    module-config: "validator iterator"
    qname-minimisation: yes
    trust-anchor-file: "{directory}/anchors.txt"
    val-log-level: 2
    local-zone: "test." nodefault
remote-control:
    control-enable: no
"""
_STUB: Final = """\
stub-zone:
    name: "{zone}"
    stub-addr: {host}@{port}
"""


def delv_anchors(world: World) -> str:
    """World's root as BIND's `trust-anchors` statement, for `delv -a`."""
    assert world.root.keys is not None
    lines = (
        f'    "." static-ds {ds.key_tag} {int(ds.algorithm)} {int(ds.digest_type)} "{ds.digest.hex()}";\n'
        for ds in world.root.keys.ds()
    )
    return "trust-anchors {\n" + "".join(lines) + "};\n"


def unbound_configuration(world: World, *, directory: Path, port: int) -> str:
    """A configuration that validates from `anchors.txt` in `directory`.

    Name servers have no ports in the DNS, so each zone that World has now is a stub zone at its authority.
    """
    address = world.authority_address
    stubs = (
        _STUB.format(zone=zone.origin, host=address.host, port=address.port)
        for zone in sorted(world.zones.all(), key=lambda zone: zone.origin)
    )
    return _UNBOUND.format(directory=directory, port=port) + "".join(stubs)


@dataclass(frozen=True, slots=True)
class Command:
    """One line for a shell. program: what must be installed. purpose: a few words for people."""

    program: str
    purpose: str
    line: str


def commands(world: World, *, directory: Path, name: str, unbound_port: int) -> tuple[Command, ...]:
    """How to ask World for the TLSA records of `name`, and to log in with it. directory: where the files were written;
    the credential is there as `<first label>.pem`. unbound_port: that of `unbound.conf`."""
    resolver, tls, authority = world.resolver_address, world.resolver_tls_address, world.authority_address
    quoted = shlex.quote(str(directory))
    at_resolver = f"@{resolver.host} -p {resolver.port}"
    return (
        Command(
            "dnsbound",
            "the whole chain, validated here",
            f"dnsbound explain {name} --resolver {resolver} --anchors {quoted}/anchors.txt",
        ),
        Command("dig", "ask the resolver", f"dig {at_resolver} +dnssec {name} TLSA"),
        Command("delv", "validate with BIND's code", f"delv -a {quoted}/delv.conf +root=. {at_resolver} {name} TLSA"),
        Command(
            "kdig",
            "ask over DNS over TLS",
            f"kdig @{tls.host} -p {tls.port} +tls-ca={quoted}/web-root.pem +tls-hostname={RESOLVER_NAME} "
            f"+dnssec {name} TLSA",
        ),
        Command(
            "dig", "ask the authority itself", f"dig @{authority.host} -p {authority.port} +norec +dnssec {name} TLSA"
        ),
        Command(
            "dnsbound",
            "an API that lets this name in",
            f"dnsbound serve demo-api --allow {name} --ca-out {quoted}/api-ca.pem "
            f"--resolver {resolver} --anchors {quoted}/anchors.txt",
        ),
        Command(
            "curl",
            "log in there by DNS name",
            f"curl --cacert {quoted}/api-ca.pem --cert {quoted}/{name.partition('.')[0]}.pem https://localhost:8443/",
        ),
        Command("unbound", "put a real validating resolver in front", f"unbound -d -c {quoted}/unbound.conf"),
        Command("dig", "ask that one; `ad` among the flags", f"dig @127.0.0.1 -p {unbound_port} {name} TLSA"),
    )
