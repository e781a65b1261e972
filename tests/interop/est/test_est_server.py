"""The enrolment server over real sockets: what it grants, to whom, and when."""

import base64
import contextlib
import hashlib
import json
import logging
import ssl
import threading
from dataclasses import replace

import pytest
from cryptography import x509

from dnsbound import AccessList, Authenticator, Context, Credential
from dnsbound.credential.certificate_facts import san_dns_names, spki_of
from dnsbound.credential.keys import KeyAlgorithm, spki_der
from dnsbound.credential.signer import LocalSigner
from dnsbound.names import ClientName
from dnsbound.provision.enrolment import est_messages as wire
from dnsbound.provision.enrolment.permission import key_digest
from dnsbound.provision.lifecycle.machine import RollState
from dnsbound.provision.owner import OwnerName
from dnsbound.testing.world import World
from interop.est.est_site import CAR, ELSEWHERE, TRUCK, TTL, Site, body_of, est_site, new_key
from interop.python_servers.running import uvicorn_server
from unit.rolling import Rolling

REFUSED = (ssl.SSLError, ConnectionError)
"""What a client meets that is refused in the handshake."""
ALGORITHMS = [KeyAlgorithm.P256, KeyAlgorithm.ED25519, KeyAlgorithm.RSA2048, KeyAlgorithm.MLDSA44]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_a_request_a_certificate_and_a_record(site: Site, algorithm: KeyAlgorithm) -> None:
    key = new_key(algorithm)
    answer = site.enrol(key, site.token())
    assert (answer.status, answer.headers["content-type"]) == (200, wire.CERTS_ONLY)
    [leaf] = answer.certificates
    spki = spki_der(key.public_key())
    assert (spki_of(leaf), san_dns_names(leaf)) == (spki, (CAR.canonical,))
    identity = site.inventory.identities.named(CAR)
    assert [record.rdata for record in identity.records] == [f"3 1 1 {hashlib.sha256(spki).hexdigest()}"]
    assert [key.certificate for key in identity.keys] == [leaf]


def test_the_certificates_of_the_issuer_verify_what_is_given_out(site: Site) -> None:
    told = site.ask("cacerts")
    assert (told.status, told.headers["content-type"]) == (200, wire.PKCS7)
    [root] = map(x509.load_der_x509_certificate, told.certificates)
    [leaf] = map(x509.load_der_x509_certificate, site.enrol(new_key(), site.token()).certificates)
    leaf.verify_directly_issued_by(root)


def test_the_published_record_instead_of_a_certificate(site: Site) -> None:
    key = new_key()
    answer = site.enrol(key, site.token(), accept="text/dns")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith(wire.RECORDS)
    digest = hashlib.sha256(spki_der(key.public_key())).hexdigest()
    assert answer.body.decode() == f"{CAR}. 60 IN TLSA 3 1 1 {digest}\n"


def test_a_lost_answer_is_given_again_and_another_key_gets_none(site: Site) -> None:
    key, token = new_key(), site.token()
    first, again = site.enrol(key, token), site.enrol(key, token)
    assert first.status == again.status == 200
    assert first.certificates == again.certificates
    assert site.enrol(new_key(), token).status == 401
    site.inventory.identities.revoke(CAR, now=site.clock(), actor="operations")
    assert site.enrol(key, token).status == 401


def test_of_many_at_once_exactly_one_is_enrolled(site: Site) -> None:
    token, statuses = site.token(), []
    threads = [threading.Thread(target=lambda: statuses.append(site.enrol(new_key(), token).status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [200] + [401] * 7


def test_the_answer_waits_until_every_server_shows_the_record(site: Site) -> None:
    key, token = new_key(), site.token(TRUCK)
    waiting = site.enrol(key, token, TRUCK)
    assert (waiting.status, waiting.headers["retry-after"]) == (202, "1")
    assert site.enrol(key, token, TRUCK).status == 202
    assert site.enrol(new_key(), token, TRUCK).status == 401
    site.publish(TRUCK)
    granted = site.enrol(key, token, TRUCK)
    assert granted.status == 200
    assert spki_of(granted.certificates[0]) == spki_der(key.public_key())


async def greet(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def verdict_at_a_door(site: Site, credential: Credential) -> str:
    """Of a door that remembers nothing: it is made anew, and so is its resolver."""
    decisions = []
    access = AccessList.allowing("gate", ["*._device.trucks.example"])
    door = Authenticator(access, site.world.resolver(), door="gate", on_decision=decisions.append)
    gate = Context.server(site.world.web_credential("localhost"), authenticator=door)
    with uvicorn_server("asyncio", greet, gate) as port, contextlib.suppress(*REFUSED):
        assert replace(site, port=port).ask("/", context=site.client(credential)).body == b"in"
    [decision] = decisions
    return decision.verdict.value if decision.reason is None else decision.reason.value


def test_an_enrolled_device_comes_in_at_a_door_and_a_revoked_one_does_not(site: Site) -> None:
    key, token = new_key(), site.token(TRUCK)
    assert site.enrol(key, token, TRUCK).status == 202
    promised = Credential.for_signer(TRUCK, LocalSigner(key), now=site.clock())
    assert verdict_at_a_door(site, promised) == "no-tlsa"
    site.publish(TRUCK)
    credential = Credential(TRUCK, key, site.enrol(key, token, TRUCK).certificates)
    assert verdict_at_a_door(site, credential) == "admitted"
    site.inventory.identities.revoke(TRUCK, now=site.clock(), actor="operations")
    site.world.organisation(ELSEWHERE.text).remove(TRUCK.text)
    assert verdict_at_a_door(site, credential) == "no-tlsa"


def ordinary(site: Site, credential: Credential, tmp_path) -> object:
    """Python's own client, which knows nothing of names."""
    file = tmp_path / "own.pem"
    file.write_bytes(credential.to_pem())
    context = ssl.create_default_context(cadata=site.world.web_root_pem.decode())
    context.load_cert_chain(file)
    return context


def test_a_manufacturing_certificate_of_an_ordinary_client(site: Site, tmp_path) -> None:
    factory = Credential.generate("sn54.maker.invalid", now=site.clock())
    site.inventory.permissions.expect(CAR, key_sha256=key_digest(factory.spki), now=site.clock(), actor="operations")
    fresh, plain = new_key(), ordinary(site, factory, tmp_path)
    stranger = Credential.generate("sn55.maker.invalid", now=site.clock())
    for context in (None, ordinary(site, stranger, tmp_path)):
        assert site.ask("simpleenroll", body_of(fresh), context=context).status == 401
    granted = site.ask("simpleenroll", body_of(fresh), context=plain)
    assert granted.status == 200
    assert spki_of(granted.certificates[0]) == spki_der(fresh.public_key())
    assert site.ask("simpleenroll", body_of(fresh), context=plain).certificates == granted.certificates
    assert site.ask("simpleenroll", body_of(new_key()), context=plain).status == 401


def test_a_makers_name_by_dane(site: Site) -> None:
    device = site.world.organisation("maker.example").device("sn54")
    fresh = new_key()
    known = site.client(device.credential)
    with pytest.raises(REFUSED):
        site.ask("simpleenroll", body_of(fresh), context=known)  # a name that nobody expects does not even get in
    site.inventory.permissions.expect(CAR, maker=device.name, now=site.clock(), actor="operations")
    granted = site.ask("simpleenroll", body_of(fresh), context=known)
    assert granted.status == 200
    assert spki_of(granted.certificates[0]) == spki_der(fresh.public_key())


def test_a_makers_name_by_dane_from_an_ordinary_client(site: Site, tmp_path) -> None:
    device = site.world.organisation("maker.example").device("sn55")
    site.inventory.permissions.expect(CAR, maker=device.name, now=site.clock(), actor="operations")
    pretender = Credential.generate(device.name, now=site.clock())
    fresh = new_key()
    refused = site.ask("simpleenroll", body_of(fresh), context=ordinary(site, pretender, tmp_path))
    assert refused.status == 401
    assert site.ask("simpleenroll", body_of(fresh), context=ordinary(site, device.credential, tmp_path)).status == 200


def test_a_request_is_linked_to_its_connection(site: Site) -> None:
    connection = site.connect(site.client())
    connection.connect()
    bound = base64.b64encode(connection.sock.get_channel_binding("tls-exporter")).decode()
    key, token = new_key(), site.token()
    linked = body_of(key, challenge=bound)
    assert site.ask("simpleenroll", linked, basic=(CAR.text, token)).status == 400, "on another connection"
    granted = site.ask("simpleenroll", linked, basic=(CAR.text, token), connection=connection)
    assert granted.status == 200
    connection.close()


def test_labels_bound_what_may_be_asked_for(internet: World, tmp_path) -> None:
    labels = {"cars": OwnerName.parse("_device.cars.example"), "vans": OwnerName.parse("_device.vans.example")}
    with est_site(internet, tmp_path, labels=labels) as site:
        assert site.ask("cars/cacerts").status == 200
        assert site.ask("boats/cacerts").status == 404
        token, key = site.token(), new_key()
        basic = (CAR.text, token)
        assert site.ask("boats/simpleenroll", body_of(key), basic=basic).status == 404
        assert site.ask("vans/simpleenroll", body_of(key), basic=basic).status == 401
        assert site.ask("cars/simpleenroll", body_of(key), basic=basic).status == 200


def test_a_known_device_gets_another_certificate_for_its_key(site: Site, tmp_path) -> None:
    credential = known_device(site)
    key = credential.private_key
    body = body_of(key, TRUCK)
    assert site.ask("simplereenroll", body).status == 403
    for context in (site.client(credential), ordinary(site, credential, tmp_path)):
        renewed = site.ask("simplereenroll", body, context=context)
        assert renewed.status == 200
        assert spki_of(renewed.certificates[0]) == credential.spki
    bare = Credential.for_signer(TRUCK, LocalSigner(key), now=site.clock(), kind="raw")
    assert site.ask("simplereenroll", body, context=site.client(bare)).status == 200
    other = ClientName.parse("truck8._device.trucks.example")
    assert site.ask("simplereenroll", body_of(key, other), context=site.client(credential)).status == 400


def known_device(site: Site) -> Credential:
    """A device that is enrolled and published."""
    key, token = new_key(), site.token(TRUCK)
    site.enrol(key, token, TRUCK)
    site.publish(TRUCK)
    return Credential(TRUCK, key, site.enrol(key, token, TRUCK).certificates)


def test_a_known_device_changes_its_key_and_its_login_ends_the_old_one(site: Site) -> None:
    old, fresh = known_device(site), new_key()
    rolling = Rolling(site.inventory)
    rolling.wall = site.clock()
    body = body_of(fresh, TRUCK)

    def asks(credential: Credential, request: bytes = body) -> int:
        site.clock.ahead += 2 * TTL  # the door has forgotten what was served before
        return site.ask("simplereenroll", request, context=site.client(credential)).status

    waiting = site.ask("simplereenroll", body, context=site.client(old))
    assert (waiting.status, waiting.headers["retry-after"]) == (202, "2")
    rolling.passes(60)
    rolling.turn()
    assert rolling.roll(TRUCK).state is RollState.PREPUBLISH
    assert asks(old) == 202, "the new record is not served yet"
    site.publish(TRUCK)
    assert asks(old) == 202, "caches may not know it yet"
    assert asks(old, body_of(new_key(), TRUCK)) == 409, "one change at a time"
    for _ in range(3):  # the runner, while the time goes by that caches need
        rolling.passes(600)
        rolling.turn()
    assert rolling.roll(TRUCK).state is RollState.SWITCH
    granted = site.ask("simplereenroll", body, context=site.client(old))
    assert granted.status == 200
    new = Credential(TRUCK, fresh, granted.certificates)
    assert site.inventory.identities.named(TRUCK).next_key.certificate == new.chain[0]
    assert asks(new) == 200
    assert rolling.roll(TRUCK).state is RollState.RETIRE
    assert rolling.roll(TRUCK).confirmed_by == "door enrolment"
    site.publish(TRUCK)
    site.clock.ahead += 2 * TTL
    with pytest.raises(REFUSED):
        site.ask("simplereenroll", body, context=site.client(old))
    assert asks(new) == 200
    assert site.inventory.identities.named(TRUCK).spki == new.spki


def test_who_was_revoked_renews_nothing(site: Site) -> None:
    credential = known_device(site)
    site.inventory.identities.revoke(TRUCK, now=site.clock(), actor="operations")
    with pytest.raises(REFUSED):
        site.ask("simplereenroll", body_of(credential.private_key, TRUCK), context=site.client(credential))


def test_what_a_request_should_have(site: Site) -> None:
    told = site.ask("csrattrs")
    assert (told.status, told.headers["content-type"]) == (200, wire.CSR_ATTRIBUTES)
    assert wire.from_base64(told.body) == wire.wanted_attributes(linking=False)


def test_keys_are_not_made_here(site: Site) -> None:
    for operation in ("serverkeygen", "fullcmc"):
        assert site.ask(operation, body_of(new_key())).status == 501


def test_health(site: Site) -> None:
    assert site.ask("/healthz").body == b"ok\n"


def test_every_decision_is_one_line(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="dnsbound.enrolment"):
        token = site.token()
        site.enrol(new_key(), token)
        site.enrol(new_key(), token)
        site.enrol(new_key(), site.token(TRUCK), TRUCK)
    lines = [json.loads(record.message) for record in caplog.records if record.name == "dnsbound.enrolment"]
    assert [(line["outcome"], line["name"], line["status"]) for line in lines] == [
        ("enrolled", CAR.text, 200),
        ("refused", CAR.text, 401),
        ("waiting", TRUCK.text, 202),
    ]
    assert lines[1]["because"].startswith("used")
    assert token not in caplog.text
