"""The exchanges printed in RFC 2865 section 7 and RFC 5997 section 6, with the shared secret of both."""

import pytest

from dnsbound.iana import RadiusAttribute, RadiusCode
from dnsbound.protocols.radius import Discard, Discarded, RadiusPacket, answer_to, read_answer, read_request

SECRET = b"xyzzy5461"

TELNET = (
    "01000038 0f403f94 73978057 bd83d5cb 98f4227a 01066e65 6d6f0212 0dbe708d 93d413ce 3196e43f 782a0aee"
    "0406c0a8 01100506 00000003"
)
TELNET_ACCEPT = "02000026 86fe220e 7624ba2a 1005f6bf 9b55e0b2 06060000 00010f06 00000000 0e06c0a8 0103"
FRAMED = (
    "01010047 2aee86f0 8d0d5596 9ca5978e 0d3367a2 0108666c 6f707379 031316e9 7557c316 185895f2 93ff6344"
    "07727504 06c0a801 10050600 00001406 06000000 02070600 000001"
)
FRAMED_ACCEPT = (
    "02010038 15efbc7d ab26cfa3 dc34d9c0 3c8601a4 06060000 00020706 00000001 0806ffff fffe0a06 00000002"
    "0d060000 00010c06 000005dc"
)
TOKEN = (
    "01020039 f3a47a1f 6a6d7671 0b947ab9 3041a039 01076d6f 70737902 12336575 73778289 b570885e 15084825"
    "c50406c0 a8011005 06000000 07"
)
TOKEN_CHALLENGE = (
    "0b02004e 36f3c876 4ae8c711 57403c0c 71ff9c45 12304368 616c6c65 6e676520 33323736 39343330 2e202045"
    "6e746572 20726573 706f6e73 65206174 2070726f 6d70742e 180a3332 37363934 3330"
)
TOKEN_AGAIN = (
    "01030043 b122556d 428a13d0 d6253807 c457ecf0 01076d6f 70737902 12692c1f 205fc081 b919b951 95f561a5"
    "810406c0 a8011005 06000000 07180a33 32373639 343330"
)
TOKEN_REJECT = "03030014 a42f4fca 45916c4e 09c8340f 9e746aa0"
STATUS = "0cda0026 8a54f468 6fb394c5 2866e302 185d0623 50125a66 5e2e1e84 11f3e243 822097c8 4fa3"
STATUS_ACCEPT = "02da0014 ef0d552a 4bf2d693 ec2b6fe8 b5411d66"
STATUS_ACCOUNTING = "0cb30026 925f6b66 dd5fed57 1fcb1db7 ad388260 5012e8d6 eabda910 875cd91f dade2636 7858"

OLD_EXCHANGES = {
    "telnet": (TELNET, TELNET_ACCEPT),
    "framed": (FRAMED, FRAMED_ACCEPT),
    "token, challenged": (TOKEN, TOKEN_CHALLENGE),
    "token, rejected": (TOKEN_AGAIN, TOKEN_REJECT),
}


@pytest.mark.parametrize("name", OLD_EXCHANGES)
def test_rad_04_response_authenticators_of_the_examples(name: str) -> None:
    """Of the year 2000: their authenticators are right, and they lack what is asked for since."""
    request, answer = map(bytes.fromhex, OLD_EXCHANGES[name])
    with pytest.raises(Discarded) as caught:
        read_answer(answer, request, SECRET)
    assert caught.value.why is Discard.NO_MESSAGE_AUTHENTICATOR
    with pytest.raises(Discarded) as caught:
        read_answer(answer, request, b"another secret")
    assert caught.value.why is Discard.WRONG_RESPONSE_AUTHENTICATOR


@pytest.mark.parametrize("name", OLD_EXCHANGES)
def test_packets_of_the_examples_are_read_and_written(name: str) -> None:
    for text in OLD_EXCHANGES[name]:
        octets = bytes.fromhex(text)
        assert RadiusPacket.from_wire(octets).to_wire() == octets


def test_attributes_of_an_example() -> None:
    packet = RadiusPacket.from_wire(bytes.fromhex(TOKEN_AGAIN))
    assert packet.code is RadiusCode.ACCESS_REQUEST
    assert packet.identifier == 3
    assert packet.first(RadiusAttribute.USER_NAME) == b"mopsy"
    assert packet.first(RadiusAttribute.STATE) == b"32769430"
    assert packet.first(RadiusAttribute.NAS_IP_ADDRESS) == bytes((192, 168, 1, 16))


@pytest.mark.parametrize("text", [STATUS, STATUS_ACCOUNTING])
def test_rs_01_status_server_of_the_examples(text: str) -> None:
    octets = bytes.fromhex(text)
    assert read_request(octets, SECRET).code is RadiusCode.STATUS_SERVER
    with pytest.raises(Discarded) as caught:
        read_request(octets, b"another secret")
    assert caught.value.why is Discard.WRONG_MESSAGE_AUTHENTICATOR


def test_rs_03_the_answer_of_the_example_is_taken_and_ours_says_more() -> None:
    request, answer = bytes.fromhex(STATUS), bytes.fromhex(STATUS_ACCEPT)
    assert read_answer(answer, request, SECRET).attributes == ()
    ours = answer_to(read_request(request, SECRET), RadiusCode.ACCESS_ACCEPT, (), SECRET)
    assert [number for number, _ in read_answer(ours, request, SECRET).attributes] == [
        RadiusAttribute.MESSAGE_AUTHENTICATOR
    ]
