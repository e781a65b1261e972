"""Every table there is, found by looking: one that decides by the members of an enumeration has a row for each, or says
here which it leaves out and what that means. `test_tables` says what single tables must hold.

A new member without its row is otherwise found by the first peer that sends it.
"""

import ast
import enum
import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

import pytest

import dnsbound

LEAVES_OUT: dict[str, tuple[str, set[str]]] = {
    "cli.chain._WORD": ("outcomes of a judgement alone", {"USAGE", "INTERRUPTED", "READER_GONE"}),
    "cli.verified._WORD": ("outcomes of a judgement alone", {"USAGE", "INTERRUPTED", "READER_GONE"}),
    "credential.signer._ECDSA": (
        "schemes of other kinds of key",
        {
            "ED25519",
            "MLDSA44",
            "MLDSA65",
            "MLDSA87",
            "RSA_PSS_RSAE_SHA256",
            "RSA_PSS_RSAE_SHA384",
            "RSA_PSS_RSAE_SHA512",
        },
    ),
    "credential.signer._RSA": (
        "schemes of other kinds of key",
        {
            *("ECDSA_SECP256R1_SHA256", "ECDSA_SECP384R1_SHA384", "ECDSA_SECP521R1_SHA512", "ED25519"),
            *("MLDSA44", "MLDSA65", "MLDSA87"),
        },
    ),
    "edge.context_members._ROLES": (
        "protocols that do not name the role, refused",
        {"PROTOCOL_TLS", "PROTOCOL_TLSv1", "PROTOCOL_TLSv1_1", "PROTOCOL_TLSv1_2"},
    ),
    "edge.context_members._VERSIONS": ("versions that are never spoken, refused", {"SSLv3", "TLSv1", "TLSv1_1"}),
    "edge.context_server_tlsa._UNDECIDED": ("answers that are decided", {"SECURE", "INSECURE"}),
    "edge.mail_exchangers._REASONS": ("answers that are decided", {"SECURE", "INSECURE"}),
    "edge.materialiser._KINDS": (
        "digests that hold nothing that a file could be made of",
        {"CERT SHA2_512", "SPKI SHA2_256", "SPKI SHA2_512"},
    ),
    "protocols.gate_mqtt._PACKETS": (
        "packets that end the connection, and PUBLISH, which comes in pieces",
        {"CONNECT", "CONNACK", "PUBLISH", "SUBACK", "UNSUBACK", "PINGRESP", "AUTH"},
    ),
    "protocols.mqtt_packets.OLD_RETURN_CODE": (
        "reasons that CONNACK has no code for: closed without a word",
        {"SUCCESS", "MALFORMED_PACKET", "PROTOCOL_ERROR", "BAD_AUTHENTICATION_METHOD", "PACKET_TOO_LARGE"},
    ),
    "protocols.radius_attributes._COUNTS": (
        "packets that the tables of attributes leave out",
        {
            *("ACCOUNTING_RESPONSE", "STATUS_SERVER", "DISCONNECT_REQUEST", "DISCONNECT_ACK", "DISCONNECT_NAK"),
            *("COA_REQUEST", "COA_ACK", "COA_NAK"),
        },
    ),
    "protocols.radius_attributes._UNNAMED": (
        "packets that the tables of attributes leave out",
        {
            *("ACCOUNTING_RESPONSE", "STATUS_SERVER", "DISCONNECT_REQUEST", "DISCONNECT_ACK", "DISCONNECT_NAK"),
            *("COA_REQUEST", "COA_ACK", "COA_NAK"),
        },
    ),
    "objects.algorithms._ORDERS": (
        "keys whose signatures are not pairs of numbers",
        {"ED25519", "RSA", "MLDSA44", "MLDSA65", "MLDSA87"},
    ),
    "objects.cose.cose_key.CURVE_NUMBERS": ("keys without a curve", {"RSA"}),
    "objects.encryption.CURVES": (
        "keys without a curve, and the one that is no class of the library",
        {"RSA", "X25519"},
    ),
    "objects.http_signatures.algorithms._ALSO_OBJECTS": (
        "kinds that HTTP has no name for, refused, and RSA, whose algorithm objects have not",
        {"P521", "RSA", "MLDSA44", "MLDSA65", "MLDSA87"},
    ),
    "objects.http_signatures.algorithms._NAMES": (
        "kinds that HTTP has no name for, refused",
        {"P521", "MLDSA44", "MLDSA65", "MLDSA87"},
    ),
    "objects.jose.header._SPELLINGS": (
        "keys whose algorithms have one name each",
        {"P256", "P384", "P521", "RSA", "MLDSA44", "MLDSA65", "MLDSA87"},
    ),
    "provision.adoption.naming._TEXTS": ("names of a certificate, which may be several", {"SAN"}),
    "provision.lifecycle.machine.TRANSITIONS": (
        "refused: RollRefused",
        {
            *("STABLE WAITED", "STABLE CONFIRMED"),
            *("PREPUBLISH MEASURED", "PREPUBLISH MEASURED_SAME_KEY", "PREPUBLISH CONFIRMED"),
            *("SWITCH MEASURED", "SWITCH MEASURED_SAME_KEY", "SWITCH WAITED"),
            *("RETIRE MEASURED", "RETIRE MEASURED_SAME_KEY", "RETIRE CONFIRMED"),
            *("RETIRE CANCELLED", "RETIRE COMPROMISED"),
            *(
                f"{over} {event}"
                for over in ("DONE", "CANCELLED")
                for event in (
                    *("MEASURED", "MEASURED_SAME_KEY", "WAITED"),
                    *("CONFIRMED", "CANCELLED", "COMPROMISED", "REVOKED"),
                )
            ),
        },
    ),
    "records.tlsa._DIGEST_OCTETS": ("no digest, so of any length", {"FULL"}),
    "testing.faults._SKEWED": (
        "faults that leave signatures' times alone",
        {"BOGUS", "DEAD", "LYING", "REPLAYED_IN_TIME", "SERVFAIL", "SLOW", "STRIPPED"},
    ),
    "tls.authenticator_contexts.TRANSITIONS": (
        "an error",
        {"NEW ANSWERED", "AWAITED ASKED", "AWAITED SHOWN", "USED ASKED", "USED SHOWN", "USED ANSWERED"},
    ),
    "tls.flags.ANSWERS": ("answers nothing", {"CLIENT_HELLO"}),
    "tls.post_handshake.TRANSITIONS": (
        "an error",
        {"QUIET ANSWER", "QUIET SETTLE", "ASKED ASK", "ASKED SETTLE", "JUDGING ASK", "JUDGING ANSWER"},
    ),
    "tls.ticket._SOURCE_CODES": ("no handshake has it, so no ticket", {"STATED"}),
    "verify.engine._IN_WORDS": (
        "the answer has words of its own",
        {
            *("SECURE RECORDS", "SECURE FAILED"),
            *(
                f"{security} {outcome}"
                for security in ("INSECURE", "BOGUS", "INDETERMINATE")
                for outcome in ("RECORDS", "NODATA", "NXDOMAIN", "FAILED")
            ),
        },
    ),
}
"""Table: what the absence of a row means, and the rows that are absent."""

GOES_ROUND = {"tls.post_handshake.TRANSITIONS": "one request after another, for as long as the connection lasts"}
"""Machines without an end, and why."""

Table = Mapping[Any, Any]


@cache
def tables() -> dict[str, Table]:
    """Module-level mappings whose keys are members of enumerations, or tuples of them."""
    return {f"{module}.{name}": table for module, name, table in _assigned() if _enumerations(table)}


def _assigned() -> Iterator[tuple[str, str, Table]]:
    for info in pkgutil.walk_packages(dnsbound.__path__, "dnsbound."):
        if "migrations" in info.name or info.name.endswith(("__main__", "_native", "pytest_plugin")):
            continue
        module = importlib.import_module(info.name)
        for node in ast.parse(inspect.getsource(module)).body:
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            for target in targets:
                value = getattr(module, target.id, None) if isinstance(target, ast.Name) else None
                if isinstance(value, Mapping) and value:
                    yield info.name.removeprefix("dnsbound."), target.id, value


def _enumerations(table: Table) -> tuple[type[enum.Enum], ...]:
    """The enumerations its keys are members of, in order; empty when they are anything else."""
    kinds = {tuple(type(part) for part in (key if isinstance(key, tuple) else (key,))) for key in table}
    if len(kinds) != 1:
        return ()
    (kind,) = kinds
    return kind if kind and all(issubclass(part, enum.Enum) for part in kind) else ()


def absent(table: Table) -> set[str]:
    every = product(*_enumerations(table))
    return {" ".join(part.name for part in row) for row in every if (row if len(row) > 1 else row[0]) not in table}


def test_the_tables_are_found() -> None:
    assert {"verify.engine.REASON_FOR_STATE", "tls.server_shim.TRANSITIONS", "tls.clientid.PROFILES"} <= set(tables())
    assert len(tables()) > 30


def test_every_table_is_total_or_says_what_it_leaves_out() -> None:
    undeclared = {name: absent(table) for name, table in tables().items() if name not in LEAVES_OUT and absent(table)}
    assert undeclared == {}


@pytest.mark.parametrize("name", LEAVES_OUT)
def test_what_is_left_out_is_what_is_said(name: str) -> None:
    assert absent(tables()[name]) == LEAVES_OUT[name][1]


# --- tables of transitions


def machines() -> dict[str, dict[enum.Enum, set[enum.Enum]]]:
    """State to the states it may lead to, of every table that is called TRANSITIONS, with events or without."""
    found: dict[str, dict[enum.Enum, set[enum.Enum]]] = {}
    for name, table in tables().items():
        if not name.endswith("TRANSITIONS"):
            continue
        leads: dict[enum.Enum, set[enum.Enum]] = {state: set() for state in _enumerations(table)[0]}
        for key, value in table.items():
            leads[key[0] if isinstance(key, tuple) else key] |= set(value if isinstance(value, frozenset) else {value})
        found[name] = leads
    return found


def test_the_machines_are_found() -> None:
    assert {"tls.server_shim.TRANSITIONS", "edge.server_phase.TRANSITIONS"} <= set(machines())
    assert [name for name, leads in machines().items() for to in leads.values() if not to <= set(leads)] == []


def test_every_state_is_reached_from_the_first() -> None:
    for name, leads in machines().items():
        reached = {next(iter(leads))}
        while more := {to for state in reached for to in leads[state]} - reached:
            reached |= more
        assert reached == set(leads), name


def test_every_machine_comes_to_an_end() -> None:
    """Some state leads nowhere, and it can be reached from everywhere; or all is one circle, and is said to be."""
    for name, leads in machines().items():
        if name in GOES_ROUND:
            assert all(leads.values()), name
            continue
        ends = {state for state, to in leads.items() if not to - {state}}
        assert ends, name
        ending = set(ends)
        while more := {state for state, to in leads.items() if to & ending} - ending:
            ending |= more
        assert ending == set(leads), name
