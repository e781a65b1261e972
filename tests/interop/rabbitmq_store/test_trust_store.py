"""RabbitMQ's trust store, fed by the verify service: who comes in, and why the setting has `danger` in its name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dnsbound.credential.credential import Credential
from dnsbound.records.tlsa import TLSA
from dnsbound.testing import World
from dnsbound.testing.organisation import Device
from interop.authz_processes import authz_processes, becomes, open_place, write_pem
from interop.daemon import Daemon, free_port, program, run
from interop.rabbitmq_node import SERVER, rabbitmq

pytestmark = [pytest.mark.peer("rabbitmq-server"), pytest.mark.peer("mosquitto_pub")]
NAME: Final = "car54._device.cars.example"
SECRET: Final = "0123456789abcdef0123456789abcdef"
CONF: Final = """
listeners.tcp = none
mqtt.listeners.tcp = none
mqtt.listeners.ssl.default = 127.0.0.1:{mqtt}
mqtt.allow_anonymous = false
mqtt.ssl_cert_login = true
mqtt.vhost = /
mqtt.exchange = amq.topic
ssl_options.cacertfile = {place}/root.pem
ssl_options.certfile = {place}/server.crt
ssl_options.keyfile = {place}/server.key
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
ssl_cert_login_from = subject_alternative_name
ssl_cert_login_san_type = dns
ssl_cert_login_san_index = 0
auth_backends.1 = http
auth_http.http_method = post
auth_http.user_path = {url}/user
auth_http.vhost_path = {url}/vhost
auth_http.resource_path = {url}/resource
auth_http.topic_path = {url}/topic
trust_store.providers.1 = http
trust_store.url = {url}/certificates
trust_store.refresh_interval = 1
log.console = true
"""
AUTHZ: Final = """
[front.rabbit]
protocol = "rabbitmq"
listen = "127.0.0.1:{port}"
secret_file = "secret"
door = "mqtt"
danger_trust_store = "clients"

[materialise.rabbit]
door = "mqtt"
form = "by-name"
path = "clients"
seconds = 1
"""


@dataclass(kw_only=True)
class Site:
    place: Path
    world: World
    mqtt: int
    rabbit: Daemon
    device: Device

    def publishes(self, credential: Credential, topic: str = f"devices/{NAME}/x") -> bool:
        chain, key = write_pem(self.place, "client", credential)
        command = [
            *(program("mosquitto_pub"), "-h", "localhost", "-p", str(self.mqtt), "-t", topic, "-m", "hi", "-q", "1"),
            *("-i", f"{NAME}/1", "--cafile", str(self.place / "root.pem"), "--cert", str(chain), "--key", str(key)),
        ]
        return run(command).returncode == 0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    if os.geteuid() != 0 or not SERVER.exists():
        pytest.skip("RabbitMQ's start as its own user needs root")
    with open_place() as place, World() as world:
        cars = world.organisation("cars.example")
        device = cars.device("car54")
        cars.replace("car54._device", TLSA(3, 0, 0, device.credential.chain[0]), ttl=1)
        (place / "root.pem").write_bytes(world.web_root_pem)
        _, key = write_pem(place, "server", world.web_credential("localhost"))
        key.chmod(0o644)
        (place / "secret").touch(0o600)
        (place / "secret").write_text(SECRET)
        port, mqtt = free_port(), free_port()
        access = f'[door.mqtt]\nallow = [{{ names = ["{NAME}"], grants = {{ publish = ["devices/%u/#"] }} }}]\n'
        with authz_processes(place, world, authz=AUTHZ.format(port=port), access=access):
            url = f"http://127.0.0.1:{port}/s/{SECRET}/rabbitmq"
            with rabbitmq(place, CONF.format(mqtt=mqtt, place=place, url=url)) as rabbit:
                yield Site(place=place, world=world, mqtt=mqtt, rabbit=rabbit, device=device)


def lookalike(certificate: bytes) -> Credential:
    """A certificate of another key, with issuer, serial number and names of the one that everybody can see."""
    seen = x509.load_der_x509_certificate(certificate)
    stranger = Credential.generate(None, now=seen.not_valid_before_utc.timestamp())
    assert isinstance(stranger.private_key, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(seen.subject)
        .issuer_name(seen.issuer)
        .public_key(stranger.private_key.public_key())
        .serial_number(seen.serial_number)
        .not_valid_before(seen.not_valid_before_utc)
        .not_valid_after(seen.not_valid_after_utc)
    )
    for extension in seen.extensions:
        if extension.oid != x509.SubjectKeyIdentifier.oid:
            builder = builder.add_extension(extension.value, extension.critical)
    made = builder.sign(stranger.private_key, hashes.SHA256()).public_bytes(Encoding.DER)
    return Credential(name=None, chain=(made,), private_key=stranger.private_key)


def test_a_listed_certificate_comes_in_by_its_name(site: Site) -> None:
    device = site.device
    becomes(lambda: site.publishes(device.credential), f"it stays outside: {site.rabbit.log_tail()}")
    assert not site.publishes(device.credential, "devices/other/x"), "its grants hold"
    stranger = site.world.organisation("cars.example").device("car99")
    assert not site.publishes(stranger.credential)


def test_a_look_alike_comes_in_as_well(site: Site) -> None:
    """Why `danger_trust_store` is called so. Once this fails, RabbitMQ compares keys, and the page is to be changed."""
    forged = lookalike(site.device.credential.chain[0])
    assert forged.spki != site.device.credential.spki
    becomes(lambda: site.publishes(forged), "RabbitMQ told a look-alike apart")


def test_a_removed_record_is_out_although_the_list_is_empty_then(site: Site) -> None:
    site.world.organisation("cars.example").remove("car54._device", "TLSA")
    becomes(lambda: not site.publishes(site.device.credential), "it still comes in")
