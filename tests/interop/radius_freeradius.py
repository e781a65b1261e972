"""FreeRADIUS 3: as an EAP-TLS server that knows a CA, and as the proxy of an operator in front of another server.

It needs none of Debian's configuration: a directory of its own with `radiusd.conf` and an empty dictionary, which its
libraries' dictionaries come before. It stays root here: without `user` in its configuration it drops nothing.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.testing.world import World
from interop.daemon import STARTS, Daemon, free_port, program, started
from interop.radius_examples import SERVER_NAME, Pem, example

SECRET: Final = "the-secret-of-the-test-clients"
"""Of everybody who asks."""

_SITE: Final = """
prefix = /usr
exec_prefix = /usr
name = radiusd
libdir = /usr/lib/freeradius
raddbdir = @DIRECTORY@
confdir = @DIRECTORY@
logdir = @DIRECTORY@
run_dir = @DIRECTORY@
max_request_time = 30
cleanup_delay = @CLEANUP@
max_requests = 65536
hostname_lookups = no
log {
    destination = stdout
    auth = @LOG@
}
security {
    allow_core_dumps = no
    max_attributes = 200
    reject_delay = 0
    status_server = yes
}
thread pool {
    start_servers = @THREADS@
    max_servers = @THREADS@
    min_spare_servers = 1
    max_spare_servers = @THREADS@
    max_requests_per_server = 0
}
proxy_requests = yes
client everybody {
    ipaddr = 0.0.0.0/0
    secret = @SECRET@
    require_message_authenticator = yes
}
proxy server {
    default_fallback = no
}
@PROXY@
modules {
    always ok {
        rcode = ok
    }
    always reject {
        rcode = reject
    }
    @EAP@
}
server default {
    listen {
        type = auth
        ipaddr = @ADDRESS@
        port = @PORT@
    }
    @ACCOUNTING@
    authorize {
        @AUTHORIZE@
    }
    authenticate {
        @AUTHENTICATE@
    }
    preacct {
        @PREACCT@
    }
    post-auth {
        Post-Auth-Type REJECT {
            ok
        }
    }
}
"""
EAP_TLS: Final = """
    eap {
        default_eap_type = tls
        timer_expire = 60
        max_sessions = 65536
        tls-config tls-common {
            private_key_file = @KEY@
            certificate_file = @CERTIFICATE@
            ca_file = @CLIENTS@
            cipher_list = "DEFAULT"
            fragment_size = 1024
            tls_min_version = "1.2"
            tls_max_version = "1.3"
            cache {
                enable = @RESUMPTION@
                name = "tests"
                lifetime = 1
                persist_dir = @DIRECTORY@/sessions
            }
        }
        tls {
            tls = tls-common
        }
    }
"""
_ACCOUNTING: Final = """
    listen {
        type = acct
        ipaddr = 127.0.0.1
        port = @PORT@
    }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeRadius:
    """A running one. accounting: its port for that, if it has one."""

    daemon: Daemon
    port: int
    secret: str = SECRET
    accounting: int | None = None


@contextlib.contextmanager
def freeradius(
    directory: Path,
    *,
    server: Pem,
    clients: Path,
    resumption: bool = False,
    address: str = "127.0.0.1",
    threads: int = 4,
    talkative: bool = True,
) -> Iterator[FreeRadius]:
    """An EAP-TLS server. server: its chain and key. clients: the authorities whose clients it lets in. address: where
    it listens. talkative: say what it does with each packet, in one thread (`-X`); False for a load."""
    eap = _filled(
        EAP_TLS,
        KEY=str(server.key),
        CERTIFICATE=str(server.certificate),
        CLIENTS=str(clients),
        RESUMPTION="yes" if resumption else "no",
    )
    site = {"ADDRESS": address, "EAP": eap, "AUTHORIZE": "eap", "AUTHENTICATE": "eap"}
    with running(directory, site, threads=threads, talkative=talkative) as found:
        yield found


@contextlib.contextmanager
def freeradius_proxy(
    directory: Path,
    *,
    home: int,
    secret: str,
    second: int | None = None,
    accounting: int | None = None,
    threads: int = 4,
    talkative: bool = True,
) -> Iterator[FreeRadius]:
    """An operator's proxy with the two files of the examples. home, accounting: ports on loopback of the server it
    hands devices to. second: of another server beside it. Every other identity is refused."""
    values = {
        "192.0.2.10": "127.0.0.1",
        "port = 1812": f"port = {home}",
        "port = 1813": f"port = {accounting or 1813}",
        "office-secret-for-examples": secret,
    }
    proxy = example("freeradius-proxy.conf", values)
    if second is not None:
        block = proxy[proxy.index("home_server dnsbound1 {") : proxy.index("home_server dnsbound1-accounting {")]
        other = block.replace("dnsbound1", "dnsbound2").replace(f"port = {home}", f"port = {second}")
        pooled = "    home_server = dnsbound1\n"
        proxy = proxy.replace(pooled, pooled + pooled.replace("1", "2")).replace(block, block + other)
    route = example("freeradius-route.conf", {})
    site = {
        "ADDRESS": "127.0.0.1",
        "PROXY": proxy,
        "AUTHORIZE": route + "    if (!&control:Proxy-To-Realm) {\n        reject\n    }\n",
        "PREACCT": route,
    }
    with running(directory, site, threads=threads, talkative=talkative, accounting=True) as found:
        yield found


@contextlib.contextmanager
def running(
    directory: Path, site: dict[str, str], *, threads: int, talkative: bool, accounting: bool = False
) -> Iterator[FreeRadius]:
    """With these parts of its configuration in place of the marks of the same names."""
    (directory / "sessions").mkdir(parents=True)
    (directory / "dictionary").write_text("")
    command = [program("freeradius"), "-d", str(directory), *(["-X"] if talkative else ["-f", "-l", "stdout"])]
    parts = dict.fromkeys(("PROXY", "EAP", "AUTHORIZE", "AUTHENTICATE", "PREACCT"), "") | site
    parts |= {"SECRET": SECRET, "THREADS": str(threads), "DIRECTORY": str(directory)}
    # A load has no time for requests that stay after their answer, and none for a line each.
    parts |= {"CLEANUP": "2" if talkative else "0", "LOG": "yes" if talkative else "no"}
    complaints = []
    for _ in range(STARTS):
        port, second = free_port(), free_port() if accounting else None
        parts["ACCOUNTING"] = _filled(_ACCOUNTING, PORT=str(second)) if accounting else ""
        (directory / "radiusd.conf").write_text(_filled(_SITE, **parts, PORT=str(port)))
        with started(command, directory / "freeradius.log") as daemon:
            try:
                daemon.wait_for(lambda: b"Ready to process requests" in daemon.log.read_bytes(), "FreeRADIUS is ready")
            except AssertionError as complaint:
                complaints.append(str(complaint))
                continue
            yield FreeRadius(daemon=daemon, port=port, accounting=second)
            return
    raise AssertionError(f"FreeRADIUS does not start: {complaints}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthoritySite:
    """FreeRADIUS as an EAP-TLS server, and clients of it. root: the certificate that verifies the server's. clients:
    the one that verifies the car's. stranger: of the car's name, with a certificate of its own."""

    world: World
    radius: FreeRadius
    server: Pem
    root: Path
    clients: Path
    car: Pem
    stranger: Pem


@contextlib.contextmanager
def authority_site(
    directory: Path, *, name: str = "car54._device.cars.example", **options: Any
) -> Iterator[AuthoritySite]:
    """A site with everything made afresh. options: of `freeradius`."""
    now, world = time.time(), World()
    authority = CertificateAuthority.create("cars.example", now=now)
    clients, root = directory / "clients.pem", directory / "root.pem"
    clients.write_bytes(certificates_to_pem(authority.chain))
    root.write_bytes(world.web_root_pem)
    server = Pem.write(directory, "server", world.web_credential(SERVER_NAME, "127.0.0.1"))
    with freeradius(directory / "freeradius", server=server, clients=clients, **options) as radius:
        yield AuthoritySite(
            world=world,
            radius=radius,
            server=server,
            root=root,
            clients=clients,
            car=Pem.write(directory, "car", authority.issue(name, now=now)),
            stranger=Pem.write(directory, "stranger", Credential.generate(name, now=now)),
        )


def _filled(template: str, **parts: str) -> str:
    for word, text in parts.items():
        template = template.replace(f"@{word}@", text)
    return template
