"""PKIX-CD: usage 4 behind its switch, with authorities from a web server of the name's host."""

import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dnsbound import ClientName, LimitExceeded, Malformed, Reason, Refused, Undecided
from dnsbound.credential.credential import Credential, certificates_to_pem
from dnsbound.credential.issuer import CertificateAuthority
from dnsbound.credential.pkix_cd import authority_host, authority_path, check, is_of_pkix_cd
from dnsbound.edge.discovery import discover_blocking, subject_of
from dnsbound.edge.pkix_cd import PkixCd
from dnsbound.object_limits import PKIX_CD_LEVELS, PKIX_CD_OCTETS
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.verify.discovered import Use

HOST = "device.old.example"
NAME = ClientName.parse("abc.sensor._device.old.example")


class Web:
    """The web server of the host, whose files a test chooses."""

    def __init__(self, world: World, directory: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        files, asked = self.files, self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_: object) -> None:
                pass

        (directory / "web.pem").write_bytes(world.web_credential(HOST).to_pem())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(directory / "web.pem")
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.trusted = ssl.create_default_context(cadata=world.web_root_pem.decode())

    def serve(self, issued: bytes, issuer: bytes) -> None:
        self.files[authority_path(issued)] = certificates_to_pem((issuer,))

    def connect(self, host: str, seconds: float) -> socket.socket:
        assert host == HOST
        return socket.create_connection(self.server.server_address[:2], timeout=seconds)  # type: ignore[arg-type]

    def pkix_cd(self, **options: Any) -> PkixCd:
        return PkixCd(**({"web": self.trusted, "connect": self.connect} | options))

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(20)
        self.server.server_close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as made:
        made.organisation("old.example", signed=False)
        yield made


@pytest.fixture
def web(world: World, tmp_path: Path) -> Iterator[Web]:
    made = Web(world, tmp_path)
    try:
        yield made
    finally:
        made.close()


def authorities(world: World) -> tuple[CertificateAuthority, CertificateAuthority]:
    root = CertificateAuthority.create("Old sensors", now=world.now())
    return root, root.intermediate("Old sensors, one", now=world.now())


def published(world: World, credential: Credential) -> TLSA:
    record = TLSA(4, 0, 0, credential.chain[0])
    organisation = world.organisation("old.example", signed=False)
    organisation.remove(NAME.text)
    organisation.publish(NAME.text, record)
    return record


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("abc123.sensor._device.example.net", "device.example.net"),
        ("a._x._device.example.net", "device.example.net"),
        ("_user.example.net", "user.example.net"),
    ],
)
def test_the_host_of_a_names_authorities(name: str, host: str) -> None:
    assert authority_host(ClientName.parse(name)) == host


@pytest.mark.parametrize("name", ["car54.example.net", "a.b.c.example", "_.example"])
def test_a_name_without_such_a_label_has_none(name: str) -> None:
    with pytest.raises(Malformed):
        authority_host(ClientName.parse(name))


def test_cd_01_it_is_off_by_default_and_logs_nobody_in(world: World, web: Web) -> None:
    root, below = authorities(world)
    credential = below.issue(NAME, now=world.now())
    record = published(world, credential)
    web.serve(credential.chain[0], below.chain[0])
    web.serve(below.chain[0], root.chain[0])
    (place,) = discover_blocking(subject_of(NAME.text), world.resolver())
    assert (place.reason, place.records, web.asked) == (Reason.INSECURE, (), [])
    (place,) = discover_blocking(subject_of(NAME.text), world.resolver(), danger_pkix_cd=web.pkix_cd())
    (shown,) = place.records
    assert (place.reason, shown.record, shown.algorithm) == (None, record.to_text(), "P-256")
    assert shown.uses == (Use.VERIFY,)
    assert web.asked == [authority_path(credential.chain[0]), authority_path(below.chain[0])]


def test_cd_01_no_other_form_of_usage_4() -> None:
    assert is_of_pkix_cd(TLSA(4, 0, 0, b"x"))
    for other in (TLSA(4, 1, 0, b"x"), TLSA(4, 0, 1, b"x"), TLSA(3, 0, 0, b"x"), TLSA(255, 0, 0, b"x")):
        assert not is_of_pkix_cd(other)


def test_cd_01_every_rule_of_a_path_holds(world: World) -> None:
    root, below = authorities(world)
    now = world.now()
    good = below.issue(NAME, now=now)
    chain = (below.chain[0], root.chain[0])
    check(good.chain[0], chain, name=NAME, now=now)
    with pytest.raises(Refused) as refused:
        check(good.chain[0], chain, name=ClientName.parse("other.sensor._device.old.example"), now=now)
    assert refused.value.reason is Reason.NAME_NOT_IN_CERTIFICATE
    for certificates, moment in ((chain, now + 4e9), (chain[:1], now), (chain[1:], now), ((), now)):
        with pytest.raises(Refused) as refused:
            check(good.chain[0], certificates, name=NAME, now=moment)
        assert refused.value.reason is Reason.CHAIN_INVALID
    stranger, _ = authorities(world)
    with pytest.raises(Refused):
        check(good.chain[0], stranger.chain, name=NAME, now=now)


def test_cd_01_the_webs_authorities_vouch_for_the_host(world: World, web: Web) -> None:
    credential = authorities(world)[1].issue(NAME, now=world.now())
    with pytest.raises(Undecided) as undecided:
        web.pkix_cd(web=ssl.create_default_context()).check(credential.chain[0], name=NAME, now=world.now())
    assert undecided.value.reason is Reason.DNS_FAILED
    assert web.asked == []


def test_cd_01_what_the_host_does_not_have_is_refused(world: World, web: Web) -> None:
    credential = authorities(world)[1].issue(NAME, now=world.now())
    published(world, credential)
    (place,) = discover_blocking(subject_of(NAME.text), world.resolver(), danger_pkix_cd=web.pkix_cd())
    assert place.reason is Reason.INSECURE
    assert [record.uses for record in place.records] == [()]
    assert "404" in place.records[0].why


@pytest.mark.parametrize("body", [b"", b"no PEM", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_cd_01_a_file_that_is_no_certificate(world: World, web: Web, body: bytes) -> None:
    credential = authorities(world)[1].issue(NAME, now=world.now())
    web.files[authority_path(credential.chain[0])] = body
    with pytest.raises((Malformed, Refused)):
        web.pkix_cd().check(credential.chain[0], name=NAME, now=world.now())


def test_cd_01_levels_octets_and_seconds_are_bounded(world: World, web: Web) -> None:
    root, below = authorities(world)
    credential = below.issue(NAME, now=world.now())
    web.serve(credential.chain[0], below.chain[0])
    web.serve(below.chain[0], below.chain[0])  # the issuer of every issuer is itself below another
    with pytest.raises(LimitExceeded):
        web.pkix_cd().check(credential.chain[0], name=NAME, now=world.now())
    assert len(web.asked) == PKIX_CD_LEVELS.default
    web.files[authority_path(credential.chain[0])] = b"x" * (PKIX_CD_OCTETS.default + 1)
    with pytest.raises(LimitExceeded):
        web.pkix_cd().check(credential.chain[0], name=NAME, now=world.now())
    with pytest.raises(Undecided):
        web.pkix_cd(deadline=0.0).check(credential.chain[0], name=NAME, now=world.now())
    assert root.chain
