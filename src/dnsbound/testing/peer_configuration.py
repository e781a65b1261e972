"""Configuration that points other people's software at a running World: delv, Unbound, dig, kdig, curl.

Texts only; who writes them where is the caller's business (`dnsbound lab` does).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dnsbound.testing.world import RESOLVER_NAME, World

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dnsbound.dns.anchors import TrustAnchors

_UNBOUND: Final = """\
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
    num-threads: 1
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    do-ip6: no
    module-config: "validator iterator"
    trust-anchor-file: "{directory}/anchors.txt"
    val-log-level: 2
{options}remote-control:
    control-enable: no
{stubs}"""
_STUB: Final = """\
stub-zone:
    name: "{zone}"
    stub-addr: {host}@{port}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stub:
    """Where a zone is served; name servers have no ports in the DNS. host: an IP address."""

    zone: str
    host: str = "127.0.0.1"
    port: int


def delv_anchors(anchors: TrustAnchors) -> str:
    """The DS records as BIND's `trust-anchors` statement, for `delv -a`."""
    lines = (
        f'    "{anchor.name}" static-ds {ds.key_tag} {int(ds.algorithm)} {int(ds.digest_type)} "{ds.digest.hex()}";\n'
        for anchor in anchors.by_key.values()
        for ds in anchor.digests
    )
    return "trust-anchors {\n" + "".join(lines) + "};\n"


def unbound_text(*, directory: Path, port: int, stubs: Iterable[Stub], options: Iterable[str] = ()) -> str:
    """An Unbound on loopback that validates from `anchors.txt` in `directory`, and complains to its standard error.

    options: further lines of its `server` clause, such as `qname-minimisation: yes`.
    """
    return _UNBOUND.format(
        directory=directory,
        port=port,
        options="".join(f"    {option}\n" for option in options),
        stubs="".join(_STUB.format(zone=stub.zone, host=stub.host, port=stub.port) for stub in stubs),
    )


def unbound_configuration(world: World, *, directory: Path, port: int) -> str:
    """Unbound as a validating resolver in front of World's authority: each zone that World has now is a stub zone."""
    address = world.authority_address
    text = unbound_text(
        directory=directory,
        port=port,
        stubs=[
            Stub(zone=zone.origin.to_text(), host=address.host, port=address.port)
            for zone in sorted(world.zones.all(), key=lambda zone: zone.origin)
        ],
        options=["qname-minimisation: yes", 'local-zone: "test." nodefault'],
    )
    return (
        "# Unbound as a validating resolver in front of World's authority. "
        f"Run: unbound -d -c {directory}/unbound.conf\n{text}"
    )


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
