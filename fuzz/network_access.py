"""Where network access reads octets of strangers: RADIUS packets and what is inside of them."""

from dnsbound.iana import AcctStatusType, RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import (
    RadiusPacket,
    answer_to,
    read_answer,
    read_request,
    request_of,
    split_eap_message,
)
from dnsbound.protocols.radius_accounting import AccountingEvent
from dnsbound.protocols.radius_dynamic import dynamic_attributes, read_dynamic_request
from dnsbound.protocols.radius_grants import RadiusGrant
from dnsbound.protocols.radius_keys import mppe_keys, read_mppe_keys, salts_from
from dnsbound.protocols.radius_nas import CalledStation, NasFacts
from dnsbound.protocols.radius_stream import LONGEST, PacketStream
from fuzz.target import Target, text

SECRET = b"a secret of the fuzzer"
AUTHENTICATOR = bytes(range(16))
NOW = 1_790_000_000.0


def access_request() -> bytes:
    attributes = (
        (RadiusAttribute.USER_NAME, b"@cars.example"),
        (RadiusAttribute.NAS_IP_ADDRESS, bytes((192, 0, 2, 7))),
        (RadiusAttribute.CALLED_STATION_ID, b"00-1A-2B-3C-4D-5E:public"),
        (RadiusAttribute.CALLING_STATION_ID, b"02-00-00-00-00-01"),
        *split_eap_message(bytes(600)),
        (RadiusAttribute.STATE, bytes(17)),
        (RadiusAttribute.PROXY_STATE, b"proxy"),
    )
    return request_of(RadiusCode.ACCESS_REQUEST, 7, attributes, SECRET, authenticator=AUTHENTICATOR)


def accounting_request() -> bytes:
    event = AccountingEvent(
        status=AcctStatusType.STOP, session_id=b"5F3A", nas=NasFacts(), input_octets=2**33, framed_address="192.0.2.9"
    )
    return request_of(RadiusCode.ACCOUNTING_REQUEST, 7, event.to_attributes(), SECRET)


def access_accept() -> bytes:
    keys = mppe_keys(bytes(range(64)), AUTHENTICATOR, SECRET, salts_from(b"\1\2\3\4"))
    eap = split_eap_message(b"\3\1\0\4")
    return answer_to(read_request(access_request(), SECRET), RadiusCode.ACCESS_ACCEPT, (*eap, *keys), SECRET)


def disconnect_request() -> bytes:
    session = dynamic_attributes(((RadiusAttribute.ACCT_SESSION_ID, b"5F3A"),), now=NOW)
    return request_of(RadiusCode.DISCONNECT_REQUEST, 7, session, SECRET)


def read_all(octets: bytes) -> object:
    """A packet and all that is read of it, whoever made it; then as a request, which changed octets never are."""
    packet = RadiusPacket.from_wire(octets)
    facts = (NasFacts.of(packet), packet.eap_message, read_mppe_keys(packet.attributes, AUTHENTICATOR, SECRET))
    if packet.code is RadiusCode.ACCOUNTING_REQUEST:
        facts = (*facts, AccountingEvent.of(packet))
    return facts


def read_stream(octets: bytes) -> object:
    """What comes over a connection, in pieces as small as they can be and all at once: the same packets."""
    whole, pieces = PacketStream(), PacketStream()
    at_once = whole.receive(octets)
    one_by_one: list[bytes] = []
    for at in range(len(octets)):
        if pieces.broken is not None:
            break
        one_by_one += pieces.receive(octets[at : at + 1])
        assert pieces.kept < LONGEST
    assert one_by_one == at_once
    assert (pieces.broken is None) == (whole.broken is None)
    whole.finish()
    return [RadiusPacket.from_wire(packet) for packet in at_once]


NETWORK_ACCESS_TARGETS: dict[str, Target] = {
    "radius-stream": Target(read_stream, lambda: [access_request() + accounting_request() + access_accept()]),
    "radius": Target(read_all, lambda: [access_request(), accounting_request(), access_accept()]),
    "radius-request": Target(
        lambda octets: read_request(octets, SECRET), lambda: [access_request(), accounting_request()]
    ),
    "radius-answer": Target(lambda octets: read_answer(octets, access_request(), SECRET), lambda: [access_accept()]),
    "radius-dynamic": Target(
        lambda octets: read_dynamic_request(octets, SECRET, now=NOW),
        lambda: [disconnect_request()],
    ),
    "radius-station": Target(CalledStation.parse, lambda: [b"00-1A-2B-3C-4D-5E:public", b"ap-3.east:public"]),
    "radius-grant": Target(
        lambda octets: RadiusGrant.parse({"vlan": text(octets), "filter": text(octets)}), lambda: [b"12", b"guests"]
    ),
}
