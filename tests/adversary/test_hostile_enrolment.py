"""What an enrolment server must not be talked into, and what must not wear it out."""

import base64
import contextlib
import datetime as dt
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dnsbound import Credential
from dnsbound.adapters.est_limits import EnrolmentLimits
from dnsbound.credential.keys import spki_der
from dnsbound.names import ClientName
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.testing.world import World
from interop.est.est_site import CAR, TRUCK, Answer, Clock, Site, body_of, est_site, new_key

BASIC = CAR.text


@pytest.fixture(scope="module")
def internet() -> Iterator[World]:
    with World(clock=Clock()) as world:
        yield world


@pytest.fixture
def site(internet: World, tmp_path: Path) -> Iterator[Site]:
    with est_site(internet, tmp_path) as running:
        yield running


def request(*names: x509.GeneralName, key=None, common_name: str = "", ca: bool = False) -> bytes:
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if ca:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    made = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(made.public_bytes(Encoding.DER))


def dns(name: str) -> x509.DNSName:
    return x509.DNSName(name)


def nobody_is_enrolled(site: Site) -> bool:
    return not list(site.inventory.identities.all())


OTHER_NAMES = {
    "another": (dns("car55._device.cars.example"),),
    "one besides": (dns(CAR.text), dns("car55._device.cars.example")),
    "an address besides": (dns(CAR.text), x509.RFC822Name("ops@cars.example")),
    "a wildcard": (dns("*._device.cars.example"),),
    "the zone": (dns("cars.example"),),
    "below": (dns(f"x.{CAR.text}"),),
    "final dot": (dns(f"{CAR.text}."),),
    "a URI alone": (x509.UniformResourceIdentifier(f"https://{CAR.text}/"),),
}


@pytest.mark.parametrize("names", OTHER_NAMES.values(), ids=OTHER_NAMES)
def test_a_token_opens_its_own_name_and_nothing_beside(site: Site, names: tuple[x509.GeneralName, ...]) -> None:
    token = site.token()
    body = request(*names, common_name=CAR.text[:64])
    assert site.ask("simpleenroll", body, basic=(BASIC, token)).status == 400
    assert nobody_is_enrolled(site)
    assert site.enrol(new_key(), token).status == 200, "the token was not spent on it"


def test_requests_nobody_may_make(site: Site) -> None:
    token = site.token()
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP256K1())
    forged = bytearray(base64.b64decode(request(dns(CAR.text))))
    forged[-3] ^= 1
    private = ec.generate_private_key(ec.SECP256R1())
    pkcs8 = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    bodies = [
        request(dns(CAR.text), key=small),
        request(dns(CAR.text), key=curve),
        request(dns(CAR.text), ca=True),
        base64.b64encode(bytes(forged)),
        base64.b64encode(pkcs8),
        pem,
        b"",
        b"not base64!",
        base64.b64encode(b"\x30\x03\x02\x01\x00"),
        base64.b64encode(spki_der(private.public_key())),
    ]
    for body in bodies:
        answer = site.ask("simpleenroll", body, basic=(BASIC, token))
        assert answer.status == 400
        assert base64.b64encode(pkcs8)[:40] not in answer.body
    assert nobody_is_enrolled(site)
    assert site.enrol(new_key(), token).status == 200


def test_a_private_key_that_came_is_in_no_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with caplog.at_level(logging.DEBUG):
        site.ask("simpleenroll", pem, basic=(BASIC, site.token()))
    assert pem.decode().splitlines()[1] not in caplog.text
    assert "private key" in caplog.text


def without_changing_parts(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    return answer.status, {name: text for name, text in answer.headers.items() if name != "date"}, answer.body


def test_a_stranger_learns_nothing_about_names(site: Site) -> None:
    """Unknown, expected, registered, revoked, blocked, outside: one answer for all, whatever the password was."""
    expected, registered, revoked, blocked = (ClientName.parse(f"c{n}._device.cars.example") for n in range(4))
    site.token(expected)
    for name in (registered, revoked):
        assert site.enrol(new_key(), site.token(name), name).status == 200
    site.inventory.identities.revoke(revoked, now=site.clock(), actor="operations")
    site.inventory.blocks.block(blocked, now=site.clock(), actor="operations")
    unknown, outside = ClientName.parse("c9._device.cars.example"), ClientName.parse("a.elsewhere.example")
    key = new_key()
    answers = [
        without_changing_parts(site.ask("simpleenroll", body_of(key, name), basic=(name.text, password)))
        for name in (unknown, expected, registered, revoked, blocked, outside)
        for password in ("dnsbound-enrol-" + "A" * 32,)
    ]
    assert answers[0][0] == 401
    assert all(answer == answers[0] for answer in answers)


def test_without_a_token_a_stranger_learns_nothing_either(site: Site) -> None:
    known = ClientName.parse("c1._device.cars.example")
    assert site.enrol(new_key(), site.token(known), known).status == 200
    unknown = ClientName.parse("c9._device.cars.example")
    shown = [without_changing_parts(site.ask("simpleenroll", body_of(new_key(), name))) for name in (known, unknown)]
    assert shown[0] == shown[1]
    assert shown[0][0] == 401
    again = [without_changing_parts(site.ask("simplereenroll", body_of(new_key(), name))) for name in (known, unknown)]
    assert again[0] == again[1]


def test_a_token_of_another_name_an_old_one_and_one_after_the_clock_was_set_back(site: Site) -> None:
    token = site.token(seconds=60)
    assert site.ask("simpleenroll", body_of(new_key(), TRUCK), basic=(TRUCK.text, token)).status == 401
    site.clock.ahead += 61
    try:
        assert site.enrol(new_key(), token).status == 401
        later = ClientName.parse("late._device.cars.example")
        site.clock.ahead += 3600
        site.token(later)  # the inventory has seen that hour
        site.clock.ahead -= 3661
        assert site.enrol(new_key(), token).status == 503
        assert nobody_is_enrolled(site)
    finally:
        site.clock.ahead = 0.0


def test_names_that_cannot_be_given_out(site: Site) -> None:
    outside, blocked = ClientName.parse("a.elsewhere.example"), ClientName.parse("b._device.cars.example")
    taken = ClientName.parse("t._device.cars.example")
    tokens = {name: site.token(name) for name in (outside, blocked, taken)}
    site.inventory.blocks.block(blocked, now=site.clock(), actor="operations")
    assert site.enrol(new_key(), site.token(taken), taken).status == 200
    for name, token in tokens.items():
        assert site.enrol(new_key(), token, name).status == 403


def test_revoked_between_the_token_and_its_use(site: Site) -> None:
    early = site.token()
    assert site.enrol(new_key(), site.token()).status == 200
    site.inventory.identities.revoke(CAR, now=site.clock(), actor="operations")
    assert site.enrol(new_key(), early).status == 403


def test_a_key_that_was_withdrawn_begins_no_change_while_caches_believe_it(site: Site) -> None:
    stolen, owners = new_key(), new_key()
    token = site.token(TRUCK)
    site.enrol(stolen, token, TRUCK)
    site.publish(TRUCK)
    certificates = site.enrol(stolen, token, TRUCK).certificates
    site.inventory.identities.revoke(TRUCK, now=site.clock(), actor="operations", reason="stolen")
    site.enrol(owners, site.token(TRUCK), TRUCK)
    thief = site.client(Credential(TRUCK, stolen, certificates))
    assert site.ask("simplereenroll", body_of(new_key(), TRUCK), context=thief).status == 401
    assert site.ask("simplereenroll", body_of(stolen, TRUCK), context=thief).status == 401
    assert site.inventory.rolls.of(TRUCK) is None


def test_bodies_that_are_too_long_or_of_another_kind(site: Site) -> None:
    basic = (BASIC, site.token())
    assert site.ask("simpleenroll", b"A" * 40_000, basic=basic).status == 413
    assert site.ask("simpleenroll", body_of(new_key()), basic=basic, content_type="text/plain").status == 415
    assert site.ask("simpleenroll", basic=basic).status == 405, "a GET"
    connection = site.connect()
    headers = {"content-type": wire.PKCS10, "transfer-encoding": "chunked"}
    endless = (b"A" * 8192 for _ in range(1000))
    try:
        connection.request("POST", f"{wire.PATH}/simpleenroll", body=endless, headers=headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (ConnectionError, OSError):
        pass  # it was cut off while it was still talking
    finally:
        connection.close()
    assert nobody_is_enrolled(site)


def test_a_slow_body_ends(site: Site) -> None:
    connection = site.connect()
    connection.putrequest("POST", f"{wire.PATH}/simpleenroll")
    for name, text in (("content-type", wire.PKCS10), ("content-length", "1000")):
        connection.putheader(name, text)
    connection.endheaders()
    connection.send(b"AAAA")
    begun = time.monotonic()
    assert connection.getresponse().status == 408
    assert time.monotonic() - begun < 10
    connection.close()


def test_guessing_is_slowed_down_and_owners_are_told_to_wait(internet: World, tmp_path: Path) -> None:
    with est_site(internet, tmp_path, limits=EnrolmentLimits(failures=3)) as site:
        token = site.token()
        guesses = [site.enrol(new_key(), "dnsbound-enrol-" + f"{n:032}").status for n in range(5)]
        assert guesses == [401, 401, 401, 429, 429]
        held = site.enrol(new_key(), token)
        assert (held.status, held.headers["retry-after"]) == (429, "60")
        site.clock.ahead += 60
        try:
            assert site.enrol(new_key(), token).status == 200
        finally:
            site.clock.ahead = 0.0


def test_many_slow_clients_do_not_shut_out_others_for_long(internet: World, tmp_path: Path) -> None:
    with est_site(internet, tmp_path, limits=EnrolmentLimits(at_once=8)) as site:
        slow = []
        for _ in range(4):
            connection = site.connect()
            connection.putrequest("POST", f"{wire.PATH}/simpleenroll")
            connection.putheader("content-type", wire.PKCS10)
            connection.putheader("content-length", "1000")
            connection.endheaders()
            slow.append(connection)
        statuses = set()
        for _ in range(100):
            statuses.add(site.ask("cacerts").status)
            if 200 in statuses:
                break
            threading.Event().wait(0.1)
        assert statuses <= {200, 503}
        assert 200 in statuses
        for connection in slow:
            connection.close()


def test_a_certificate_that_says_another_name_is_no_proof(site: Site, tmp_path: Path) -> None:
    """An ordinary client whose certificate claims a registered name, with a key of its own."""
    assert site.enrol(new_key(), site.token()).status == 200
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pretender")])
    pretender = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([dns(CAR.text)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "pretender.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + pretender.public_bytes(Encoding.PEM)
    )
    context = ssl.create_default_context(cadata=site.world.web_root_pem.decode())
    context.load_cert_chain(file)
    answer = site.ask("simplereenroll", request(dns(CAR.text), key=key), context=context)
    assert answer.status in (401, 503), "no such record in the DNS, or none that can be judged"
    assert len(site.inventory.identities.named(CAR).keys) == 1


def test_lines_of_the_log_stay_lines(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="dnsbound.enrolment"):
        site.ask("simpleenroll", body_of(new_key()), basic=('x\n{"outcome":"enrolled"}', "y"))
        site.ask("boats\n/simpleenroll".replace("\n", "%0A"), body_of(new_key()))
    lines = [record.message for record in caplog.records if record.name == "dnsbound.enrolment"]
    assert len(lines) == 2
    assert all(json.loads(line)["outcome"] == "refused" and "\n" not in line for line in lines)


def test_octets_that_are_no_http(site: Site) -> None:
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.settimeout(10)
        with contextlib.suppress(ConnectionError):
            assert b"200" not in plain.recv(100)
    assert site.ask("cacerts").status == 200
