"""`dnsbound serve radius --check`: the chain that devices are shown holds now, and names the server's own key."""

import time

import dns.name
import dns.rdatatype
import pytest

from dnsbound.cli.checks import Level
from dnsbound.cli.radius_checks import _server_chain
from dnsbound.credential.association import tlsa_for_certificate
from dnsbound.dns.chain_file import ChainFile
from dnsbound.edge.eap_server_chain import eap_server_chain
from dnsbound.errors import Misuse
from dnsbound.testing.world import World
from interop.radius_examples import SERVER_NAME
from interop.radius_server import radius_files

OWNER = f"_1812._tcp.{SERVER_NAME}"


@pytest.fixture
def world():
    with World() as made:
        yield made


def chain_of(world, owner, directory, **options):
    built = world.chain(owner, **options)
    file = directory / "radius.chain"
    named = dns.name.from_text(owner)
    file.write_text(ChainFile.of(built.octets, named, dns.rdatatype.TLSA, made=time.time()).to_text())
    return file


def finding(world, directory, own, record, **options):
    world.organisation("isp.example").replace(OWNER, record)
    chain_of(world, OWNER, directory, **options)
    configuration = radius_files(directory, world, settings='chain_file = "radius.chain"\n', own=own)
    [found] = _server_chain(configuration, world.directory / "anchors.txt")
    return found


def test_a_chain_of_the_servers_own_record(world, tmp_path):
    own = world.web_credential(SERVER_NAME)
    found = finding(world, tmp_path, own, tlsa_for_certificate(own.chain[0]))
    assert found.level is Level.OK
    assert found.found.startswith(f"{OWNER} TLSA 3 1 1 ")


def test_a_chain_of_another_key(world, tmp_path):
    own, other = world.web_credential(SERVER_NAME), world.web_credential(SERVER_NAME)
    found = finding(world, tmp_path, own, tlsa_for_certificate(other.chain[0]))
    assert found.level is Level.FAIL
    assert "mismatch" in found.found


def test_a_chain_that_has_ended(world, tmp_path):
    own = world.web_credential(SERVER_NAME)
    found = finding(
        world, tmp_path, own, tlsa_for_certificate(own.chain[0]), at=time.time() - 86_400 * 400, validity=600
    )
    assert found.level is Level.FAIL


def test_no_chain_is_no_finding(world, tmp_path):
    assert list(_server_chain(radius_files(tmp_path, world), None)) == []


def test_the_chain_of_another_service_is_not_taken(world, tmp_path):
    own = world.web_credential(SERVER_NAME)
    owner = f"_443._tcp.{SERVER_NAME}"
    world.organisation("isp.example").replace(owner, tlsa_for_certificate(own.chain[0]))
    with pytest.raises(Misuse):
        eap_server_chain(chain_of(world, owner, tmp_path))
