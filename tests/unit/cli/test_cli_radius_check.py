"""`dnsbound serve radius --check`: each thing that is missing is a line with a remedy; and the command as a process."""

import base64
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from dnsbound.credential.credential import Credential
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge.credential_files import save_credential
from interop.radius_server import CLIENTS, NETWORKS, radius_files, write

PROGRAM = (sys.executable, "-c", "from dnsbound.cli import main; main()")
SECONDS = 20.0


@pytest.fixture
def configured(in_world, tmp_path):
    radius_files(tmp_path, in_world)
    return tmp_path / "radius.toml"


def levels(ran) -> dict[str, str]:
    return {check["check"]: check["level"] for check in json.loads(ran.out)["checks"]}


def checked(dnsbound, path):
    return dnsbound("serve", "radius", path, "--check", "--json")


def changed(path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_is_complete_is_found_so(dnsbound, configured):
    ran = checked(dnsbound, configured)
    found = levels(ran)
    assert (ran.code, json.loads(ran.out)["outcome"]) == (0, "yes")
    assert {found["configuration"], found["server certificate"], found["network public"], found["clock"]} == {"ok"}
    assert found["client nas"] == "ok"
    assert "fail" not in found.values()


def test_a_file_that_does_not_parse_is_one_line_and_a_no(dnsbound, configured):
    changed(configured, "[client.nas]", "[clients.nas]")
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)) == (1, {"configuration": "fail"})


def test_a_door_without_entries_and_one_that_is_not_there(dnsbound, configured):
    write(configured.parent / "access.toml", '[door."public.isp.example"]\n[door."wireless.isp.example"]\n')
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)["network public"]) == (0, "warn")
    write(configured.parent / "access.toml", '[door."public.isp.example"]\n')
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)["access list"]) == (1, "fail")


def test_a_port_that_is_taken(dnsbound, configured):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        changed(configured, 'listen = ["127.0.0.1:0"]', f'listen = ["{at}"]')
        ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)[f"authentication at {at}"]) == (1, "fail")


@pytest.mark.parametrize("key", ["radsec", "radsec_dtls"])
def test_ports_of_radsec_and_its_door_are_looked_at(dnsbound, configured, key):
    changed(configured, "[server]", f'[server]\n{key} = ["127.0.0.1:0"]')
    assert checked(dnsbound, configured).code == 1
    changed(configured.parent / "access.toml", '[door."public', '[door.radsec]\n[door."public')
    found = levels(checked(dnsbound, configured))
    assert found["RadSec"] == "warn"
    assert found["RadSec at 127.0.0.1:0" if key == "radsec" else "RADIUS/DTLS at 127.0.0.1:0"] != "fail"


def test_access_servers_that_cannot_be_told_to_end_a_session(dnsbound, configured):
    changed(configured, CLIENTS.strip(), CLIENTS.strip() + '\ndynamic_authorisation = "none"')
    assert levels(checked(dnsbound, configured))["client nas"] == "warn"


def test_clients_over_tls_alone_cannot_be_told_either(dnsbound, configured):
    with configured.open("a") as file:
        file.write('\n[client.branches]\nname = "*._device.isp.example"\n')
    ran = checked(dnsbound, configured)
    (told,) = (check for check in json.loads(ran.out)["checks"] if check["check"] == "client branches")
    assert (told["level"], "session_timeout" in told["remedy"]) == ("warn", True)
    assert levels(ran)["client nas"] == "ok"


@pytest.mark.parametrize("grants", ["vlan = 5000", "vlna = 12", 'attributes = { "No-Such-Attribute" = 1 }'])
def test_grants_that_radius_cannot_say_are_found_before_a_device_is_refused_for_them(dnsbound, configured, grants):
    changed(configured.parent / "access.toml", 'vlan = "visitors"', grants)
    ran = checked(dnsbound, configured)
    told = [check for check in json.loads(ran.out)["checks"] if check["level"] == "fail"]
    assert (ran.code, [check["check"] for check in told]) == (1, ["network public"])
    assert told[0]["found"].startswith("*._device.cars.example: ")


def test_a_dictionary_that_is_not_there(dnsbound, configured):
    changed(configured, "[server]", '[server]\ndictionary = ["none"]')
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)["dictionary"]) == (1, "fail")


def test_ticket_keys_are_read(dnsbound, configured):
    changed(configured, "[server]", '[server]\nticket_seconds = 60\nticket_keys = "keys"')
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)["ticket keys"]) == (1, "fail")
    write(configured.parent / "keys", base64.b64encode(bytes(range(32))).decode())
    assert levels(checked(dnsbound, configured))["ticket keys"] == "ok"


def test_the_accounting_database_is_looked_at_and_not_made(dnsbound, configured):
    changed(configured, "accounting_discard = true", 'accounting_database = "radius.db"')
    database = configured.parent / "radius.db"
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)["accounting database"], database.exists()) == (0, "ok", False)
    database.write_text("something else, and long enough to be told from an empty file")
    ran = checked(dnsbound, configured)
    assert (ran.code, levels(ran)["accounting database"]) == (1, "fail")


@pytest.mark.parametrize(("said", "level"), [("", "warn"), ('dynamic_authorisation = "connection"\n', "ok")])
def test_a_client_over_tls_ends_sessions_only_if_told_over_its_connection(dnsbound, configured, said, level):
    proxy = f'[client.proxy]\nname = "proxy._device.isp.example"\n{said}'
    changed(configured, CLIENTS.strip(), f"{CLIENTS.strip()}\n{proxy}")
    assert levels(checked(dnsbound, configured))["client proxy"] == level


@pytest.mark.parametrize(
    ("algorithm", "kind", "level"),
    [
        (KeyAlgorithm.ED25519, "x509", "warn"),
        (KeyAlgorithm.MLDSA44, "x509", "fail"),
        (KeyAlgorithm.P256, "raw", "warn"),
    ],
)
def test_keys_that_supplicants_cannot_verify(dnsbound, configured, algorithm, kind, level):
    own = Credential.generate("radius.isp.example", now=time.time(), algorithm=algorithm, kind=kind)
    save_credential(own, configured.parent / "server.pem", force=True)
    ran = checked(dnsbound, configured)
    assert (levels(ran)["server certificate"], ran.code) == (level, 1 if level == "fail" else 0)


def test_a_certificate_that_is_for_clients_alone(dnsbound, configured):
    """Such as `dnsbound id new` makes."""
    save_credential(
        Credential.generate("radius.isp.example", now=time.time()), configured.parent / "server.pem", force=True
    )
    ran = checked(dnsbound, configured)
    told = [check for check in json.loads(ran.out)["checks"] if check["check"] == "server certificate"]
    assert ran.code == 0
    assert (told[0]["level"], told[0]["found"].split(",")[0]) == ("warn", "not a server's: radius.isp.example")


def test_a_certificate_that_has_ended(dnsbound, configured):
    own = Credential.generate("radius.isp.example", now=1e9)
    save_credential(own, configured.parent / "server.pem", force=True)
    told = [check for check in json.loads(checked(dnsbound, configured).out)["checks"] if check["level"] == "fail"]
    assert ["not valid now" in check["found"] for check in told] == [True]


def test_a_resolver_that_does_not_answer_is_unknown(dnsbound, configured):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        at = f"127.0.0.1:{silent.getsockname()[1]}"
        ran = dnsbound("serve", "radius", configured, "--check", "--json", "--resolver", at)
    assert (ran.code, json.loads(ran.out)["outcome"]) == (3, "undecided")


def test_the_command_says_where_it_listens_and_reads_again_at_sighup(in_world, configured):
    changed(configured, "[server]", "[server]\nworkers = 1")
    process = subprocess.Popen(
        [*PROGRAM, "serve", "radius", configured, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        told = json.loads(process.stdout.readline())
        assert told["networks"] == ["staff", "public"]
        assert told["listen"][0].startswith("127.0.0.1:")
        changed(configured, NETWORKS.strip().splitlines()[0], "[network.employees]")
        process.send_signal(signal.SIGHUP)
        for line in process.stderr:
            if "2 networks in force" in line:
                break
        changed(configured, "[network.employees]", "[networks.employees]")
        process.send_signal(signal.SIGHUP)
        for line in process.stderr:
            if "stays in force" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("text", "code"), [("[server]\n", 2), (None, 2)])
def test_a_configuration_that_cannot_be_used_ends_it_with_one_line(program, tmp_path, text, code):
    if text is not None:
        (tmp_path / "radius.toml").write_text(text)
    ran = program("serve", "radius", tmp_path / "radius.toml")
    assert (ran.code, ran.out, ran.err.count("\n")) == (code, "", 1)
