"""docs/limitations.md: its numbers are those of the code, and the knobs, commands and options it names exist."""

import inspect
import re
from pathlib import Path

import pytest
import typer.main

import dnsbound
from dnsbound import door_limits, limits
from dnsbound.cli import app as command_line
from dnsbound.credential.keys import KeyAlgorithm
from dnsbound.edge import authenticator
from dnsbound.iana import DANE_CLIENTID, REQUEST_CLIENT_AUTH, TLS_FLAGS, TLS_FLAGS_PROTOTYPE
from dnsbound.provision.publication import PUBLISHABLE
from dnsbound.tls import ticket
from dnsbound.tls.clientid import PROFILES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/limitations.md").read_text()
WORDS = {8: "Eight"}


@pytest.mark.parametrize(
    "told",
    [
        f"0x{DANE_CLIENTID:04X} unless the Contexts are told another",
        f"flag {REQUEST_CLIENT_AUTH} in extension {TLS_FLAGS} is sent",
        f"and in 0x{TLS_FLAGS_PROTOTYPE:04X} recognised too",
        f"remembers {limits.AUTHENTICATOR_CONTEXTS.default} contexts",
        f"has {limits.LATE_IDENTITIES.default} late identities at most",
        f"request has {limits.AUTHENTICATOR_OCTETS.default // 1024} KiB at most",
        f"waits {limits.AUTHENTICATOR_SECONDS.default} s for its answer",
        f"a client reads {limits.CARRIED_OCTETS.default:,} of a server's",
        f"at most {limits.HANDSHAKES_PER_SOURCE.default} of a Context's {limits.HANDSHAKES_AT_ONCE.default:,}",
        f"Pins are kept for {limits.SERVER_PINS.default:,} servers",
        f"At most {limits.TLSA_RECORDS.default} records of a set are looked at",
        f"and {limits.PEER_CERTIFICATES.default} certificates of a chain",
        f"may send {limits.QUIC_EARLY_OCTETS.default:,} octets of datagrams",
        f"of them {limits.QUIC_CRYPTO_OCTETS.default:,} of handshake messages in each level",
        f"More than {limits.NSEC3_ITERATIONS.default} iterations count as unsigned",
        f"{WORDS[limits.ALIASES.default]} links are followed",
        f"Up to {limits.EARLY_OCTETS.default // 1024} KiB of ciphertext are kept",
        f"more than {ticket.MAX_TICKET_OCTETS // 1024} KiB get no ticket",
        f"Keys seal for {limits.TICKET_KEY_SECONDS.default} s",
        f"counts {limits.LOOKUP_SOURCES.default:,} sources",
        f"at most {limits.RECHECKS_AT_ONCE.default} questions are open at once",
        f"by the deadline of a lookup ({authenticator.LOOKUP_SECONDS:g} s)",
        f"A peer's TLS message has {limits.EAP_TLS_MESSAGE_OCTETS.default:,} octets at most",
        f"and a conversation {limits.EAP_ROUND_TRIPS.default} round trips",
        f"at most {limits.EXCHANGE_WAITING.default} requests with another at once",
        f"and waits {limits.EXCHANGE_SECONDS.default} s for an answer",
        f"does not turn for {limits.WORKER_SILENCE_SECONDS.default} s is killed",
        f"after {limits.WORKER_DEATHS.default} deaths of one",
        f"kept for {limits.NEGATIVE_TTL.default} s at most",
        f"the longer of the zone's TTL and {limits.RECORD_TTL.default} s",
        f"At most {limits.EAP_CONVERSATIONS.default:,} conversations are open in each process",
        f"{limits.EAP_CONVERSATIONS_PER_STATION.default} of one device at one access server",
        f"for {limits.EAP_CONVERSATION_SECONDS.default} s; beyond that",
        f"head has {door_limits.FRONT_HEADER_OCTETS.default:,} octets at most",
        f"its body {door_limits.FRONT_BODY_OCTETS.default:,}",
        f"Topic aliases above {door_limits.MQTT_TOPIC_ALIASES.default} are not offered",
        f"Heads have {door_limits.HTTP_HEAD_OCTETS.default:,} octets at most, {door_limits.HTTP_FIELDS.default} fields",
        f"and {door_limits.HTTP_PIPELINED.default} requests may be without an answer",
        f"Of a pattern's names {limits.LOOKUPS_PER_ZONE.default} a minute are looked up",
    ],
)
def test_numbers_are_those_of_the_code(told: str) -> None:
    assert told in TEXT


def test_what_is_said_to_be_all_is_all() -> None:
    assert "A, AAAA, CNAME, DS, NS, SMIMEA, SSHFP and TLSA can be published" in TEXT
    assert {"A", "AAAA", "CNAME", "DS", "NS", "SMIMEA", "SSHFP", "TLSA"} == PUBLISHABLE
    assert "`ca13`, and on request `ca10` and `cid07`" in TEXT
    assert {"ca13", "ca10", "cid07"} == {profile.value for profile in PROFILES}
    assert "a `Credential` has P-256, Ed25519, RSA or ML-DSA" in TEXT
    assert {algorithm.value.rstrip("0123456789") for algorithm in KeyAlgorithm} == {"p", "ed", "rsa", "ml-dsa-"}


def test_signatures_end_after_an_hour() -> None:
    assert "an hour by default" in TEXT
    assert limits.SIGNATURE_SECONDS.default == 3600


@pytest.mark.parametrize("knob", sorted(set(re.findall(r"danger_\w+", TEXT))))
def test_knobs_exist(knob: str) -> None:
    named = re.compile(rf"\b{knob}\s*(:|=)")
    assert any(named.search(path.read_text()) for path in (ROOT / "src/dnsbound").rglob("*.py"))


def test_arguments_of_contexts_exist() -> None:
    door, client = (inspect.signature(make).parameters for make in (dnsbound.Context.server, dnsbound.Context.client))
    for argument in ("ticket_lifetime", "ticket_keys", "claim_from", "ask"):
        assert f"`{argument}`" in TEXT
        assert argument in door
    assert door["ticket_lifetime"].default == 0
    assert "san" in door["claim_from"].default
    assert "server_tlsa" in client


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("serve dns", "--validity"),
        ("serve dns", "--host"),
        ("serve demo-api", "--credential"),
        ("zone export", None),
        ("zone publish", None),
        ("zone roll-key", None),
        ("id new", None),
        ("doctor", "--anchors"),
        ("match", None),
        ("explain", None),
        ("lab", None),
    ],
)
def test_commands_and_options_exist(command: str, option: str | None) -> None:
    assert f"`{command.rsplit(maxsplit=1)[-1]}" in TEXT or f"`{command}" in TEXT
    found = typer.main.get_command(command_line.app)
    for word in command.split():
        found = found.commands[word]  # type: ignore[attr-defined]
    if option is not None:
        assert option in TEXT
        assert option in {name for parameter in found.params for name in parameter.opts}


def test_there_is_no_zone_delete() -> None:
    commands = typer.main.get_command(command_line.app).commands  # type: ignore[attr-defined]
    assert "`zone delete`" in TEXT
    assert "delete" not in commands["zone"].commands
