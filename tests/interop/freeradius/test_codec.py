"""radclient's packets of every kind, read by the codec alone and answered by it: FreeRADIUS believes the answers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dnsbound.iana import AcctStatusType, ErrorCause, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import RadiusPacket, answer_to, read_request, split_eap_message
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.protocols.radius_dynamic import dynamic_answer, read_dynamic_request
from dnsbound.protocols.radius_grants import RadiusGrant
from interop.radius_radclient import radclient

pytestmark = pytest.mark.peer("radclient")

SECRET = "a-secret-of-sixteen-or-more"
KEY = SECRET.encode()
SECONDS = 20.0


@contextmanager
def answering(respond: Callable[[bytes], bytes]) -> Iterator[tuple[int, list[BaseException]]]:
    """A port where one datagram is answered by `respond`, and what went wrong in it."""
    wrong: list[BaseException] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(SECONDS)

        def serve() -> None:
            try:
                octets, source = server.recvfrom(4096)
                server.sendto(respond(octets), source)
            except BaseException as error:  # noqa: BLE001 (shown by the test)
                wrong.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], wrong
        finally:
            thread.join()


def test_an_access_request_with_eap_is_challenged() -> None:
    eap = bytes(index % 256 for index in range(600))
    seen: list[RadiusPacket] = []

    def respond(octets: bytes) -> bytes:
        seen.append(read_request(octets, KEY))
        state = ((int(RadiusAttribute.STATE), b"state"),)
        return answer_to(seen[0], RadiusCode.ACCESS_CHALLENGE, (*split_eap_message(eap), *state), KEY)

    said = ['User-Name = "@cars.example"', "EAP-Message = 0x0201000601", "Proxy-State = 0x7072", "Proxy-State = 0x78"]
    with answering(respond) as (port, wrong):
        answer = radclient("auth", [*said, "Message-Authenticator = 0x00"], port=port, secret=SECRET, seconds=SECONDS)
    assert wrong == []
    assert answer.code == "Access-Challenge", answer.output
    assert seen[0].eap_message == bytes.fromhex("0201000601")
    printed = "".join(value.removeprefix("0x") for value in answer.of("EAP-Message"))
    assert eap.hex().startswith(printed)
    assert len(printed) > 2 * 253, "radclient joins the pieces, and prints the first 499 octets"
    assert answer.of("Proxy-State") == ("0x7072", "0x78")


def test_grants_are_what_freeradius_reads() -> None:
    grant = RadiusGrant.parse({"vlan": "guests", "filter": ["a", "b"], "idle_timeout": 600})

    def respond(octets: bytes) -> bytes:
        return answer_to(read_request(octets, KEY), RadiusCode.ACCESS_ACCEPT, grant.to_attributes(tag=1), KEY)

    with answering(respond) as (port, wrong):
        said = ['User-Name = "a"', "Message-Authenticator = 0x00"]
        answer = radclient("auth", said, port=port, secret=SECRET, seconds=SECONDS)
    assert wrong == []
    assert answer.code == "Access-Accept", answer.output
    assert dict(answer.attributes[1:4]) == {
        "Tunnel-Type:1": "VLAN",
        "Tunnel-Medium-Type:1": "IEEE-802",
        "Tunnel-Private-Group-Id:1": "guests",
    }
    assert answer.of("Filter-Id") == ("a", "b")
    assert answer.of("Idle-Timeout") == ("600",)


def test_a_report_is_read_and_acknowledged() -> None:
    seen: list[AccountingEvent] = []

    def respond(octets: bytes) -> bytes:
        request = read_request(octets, KEY)
        seen.append(AccountingEvent.of(request))
        return answer_to(request, RadiusCode.ACCOUNTING_RESPONSE, (), KEY)

    said = ["Acct-Status-Type = Stop", 'Acct-Session-Id = "5F3A"', "Acct-Input-Octets = 5", "Acct-Input-Gigawords = 1"]
    said += ['Calling-Station-Id = "02:00:00:00:00:01"', "Class = 0x6f6e65", "Acct-Terminate-Cause = Lost-Carrier"]
    with answering(respond) as (port, wrong):
        answer = radclient("acct", said, port=port, secret=SECRET, seconds=SECONDS)
    assert wrong == []
    assert answer.code == "Accounting-Response", answer.output
    (event,) = seen
    assert (event.status, event.session_id, event.classes) == (AcctStatusType.STOP, b"5F3A", (b"one",))
    assert (event.input_octets, event.cause_text) == (2**32 + 5, "lost-carrier")
    assert event.nas.calling_station == "02-00-00-00-00-01"


@pytest.mark.parametrize("command", ["disconnect", "coa"])
@pytest.mark.parametrize("cause", [None, ErrorCause.SESSION_CONTEXT_NOT_FOUND])
def test_dynamic_authorisation_is_read_and_answered(command: str, cause: ErrorCause | None) -> None:
    def respond(octets: bytes) -> bytes:
        return dynamic_answer(read_dynamic_request(octets, KEY, now=time.time()), KEY, cause=cause)

    said = ['Acct-Session-Id = "5F3A"', f"Event-Timestamp = {int(time.time())}", "Message-Authenticator = 0x00"]
    with answering(respond) as (port, wrong):
        answer = radclient(command, said, port=port, secret=SECRET, seconds=SECONDS)
    assert wrong == []
    name = {"disconnect": "Disconnect", "coa": "CoA"}[command]
    assert answer.code == f"{name}-{'ACK' if cause is None else 'NAK'}", answer.output
    assert answer.of("Error-Cause") == (() if cause is None else ("Session-Context-Not-Found",))
