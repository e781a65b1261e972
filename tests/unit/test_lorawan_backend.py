"""LoRaWAN backend messages and the names of EUIs, without any network."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbound import ClientName, LimitExceeded, Malformed, Misuse
from dnsbound.protocols.lorawan_backend import SUCCESS, BackendMessage, MessageType, Result, ResultCode
from dnsbound.protocols.lorawan_names import Eui64, EuiNames, NetId, server_id

HEAD = {
    "ProtocolVersion": "1.0",
    "SenderID": "000013",
    "ReceiverID": "70b3d57ed0000000",
    "TransactionID": 7,
    "MessageType": "JoinReq",
}


def wire(**changes: Any) -> bytes:
    told = {**HEAD, **changes}
    return json.dumps({name: value for name, value in told.items() if value is not ...}).encode()


def test_lw_01_every_message_says_version_type_ends_and_transaction() -> None:
    message = BackendMessage.from_wire(wire(PHYPayload="0x00ff", SenderToken="0a"))
    assert (message.sender, message.receiver, message.transaction) == ("000013", "70b3d57ed0000000", 7)
    assert message.message_type is MessageType.JOIN_REQ
    assert message.objects == {"PHYPayload": "0x00ff"}
    answer = message.answered(SUCCESS, {"Lifetime": 60})
    assert BackendMessage.from_wire(answer.to_wire()) == answer
    assert json.loads(answer.to_wire()) == {
        "ProtocolVersion": "1.0",
        "SenderID": "70b3d57ed0000000",
        "ReceiverID": "000013",
        "TransactionID": 7,
        "MessageType": "JoinAns",
        "ReceiverToken": "0a",
        "Result": {"ResultCode": "Success"},
        "Lifetime": 60,
    }


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"[]",
        b"\xff",
        b"{" * 100_000,
        wire(SenderID=...),
        wire(ReceiverID=""),
        wire(SenderID="00 13"),
        wire(TransactionID=...),
        wire(TransactionID="7"),
        wire(TransactionID=True),
        wire(TransactionID=-1),
        wire(TransactionID=1 << 32),
        wire(MessageType="JoinMaybe"),
        wire(MessageType=5),
        wire(Result={"ResultCode": "Success"}),
        wire(MessageType="JoinAns"),
        wire(MessageType="JoinAns", Result={"ResultCode": "Maybe"}),
        wire(MessageType="JoinAns", Result="Success"),
        wire(MessageType="JoinAns", Result={"ResultCode": "Success", "Description": 1}),
        wire()[:-1] + b', "SenderID": "000014"}',
    ],
)
def test_lw_02_what_is_no_message_is_malformed(octets: bytes) -> None:
    with pytest.raises((Malformed, LimitExceeded)):
        BackendMessage.from_wire(octets)


def test_lw_02_long_messages_are_neither_read_nor_written() -> None:
    with pytest.raises(LimitExceeded):
        BackendMessage.from_wire(wire(PHYPayload="0" * 70_000))
    with pytest.raises(LimitExceeded):
        BackendMessage(
            message_type=MessageType.JOIN_REQ,
            sender="000013",
            receiver="000014",
            transaction=1,
            objects={"PHYPayload": "0" * 70_000},
        ).to_wire()


def test_the_document_misspells_a_result_and_both_are_read() -> None:
    for word in ("UnkownReceiver", "UnknownReceiver"):
        answer = BackendMessage.from_wire(wire(MessageType="JoinAns", Result={"ResultCode": word}))
        assert answer.result == Result(ResultCode.UNKNOWN_RECEIVER)


def test_every_request_has_an_answer_and_no_answer_has_one() -> None:
    for one in MessageType:
        if one.is_answer:
            with pytest.raises(Misuse):
                _ = one.answer
        else:
            assert one.answer.is_answer


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("000013", "000013"),
        ("0x00050A", "00050a"),
        ("70B3D57ED0000000", "70b3d57ed0000000"),
        ("0X70b3d57ed0000000", "70b3d57ed0000000"),
        ("as.example", "as.example"),
        ("abc", "abc"),
    ],
)
def test_lw_03_ids_are_compared_in_one_form(text: str, same: str) -> None:
    assert server_id(text) == same


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 256, "ä", "0x0\n"])
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(Malformed):
        server_id(text)


def test_lw_04_where_servers_are_looked_up() -> None:
    """The examples of section 19.1."""
    assert Eui64.from_text("00-00-5E-10-00-00-00-2F").join_server_domain() == (
        "f.2.0.0.0.0.0.0.0.1.e.5.0.0.0.0.joineuis.lora-alliance.org"
    )
    assert NetId(1290).network_server_domain() == "00050a.netids.lora-alliance.org"
    assert NetId.from_text("0x00050A") == NetId(1290)
    assert Eui64.from_text("70b3d57ed0000001").join_server_domain("joins.example").endswith(".7.joins.example")


@pytest.mark.parametrize("text", ["", "00", "00005e100000002", "0000-5e10:0000-002f", "zz005e100000002f", "0x"])
def test_what_is_no_eui(text: str) -> None:
    with pytest.raises(Malformed):
        Eui64.from_text(text)


@pytest.mark.parametrize("text", ["", "13", "0000013", "0000zz"])
def test_what_is_no_net_id(text: str) -> None:
    with pytest.raises(Malformed):
        NetId.from_text(text)


@given(st.binary(min_size=8, max_size=8))
def test_lw_05_each_eui_has_one_name_and_each_name_one_eui(octets: bytes) -> None:
    names, eui = EuiNames.parse("_device.plant.example"), Eui64(octets)
    assert names.name_of(eui).canonical == f"eui-{octets.hex()}._device.plant.example"
    assert names.eui_of(names.name_of(eui)) == eui


@pytest.mark.parametrize(
    "name",
    [
        "eui-70b3d57ed0000001._device.other.example",
        "70b3d57ed0000001._device.plant.example",
        "eui-70b3d57ed000001._device.plant.example",
        "eui-70b3d57ed00000zz._device.plant.example",
        "eui-70b3d57ed0000001.x._device.plant.example",
    ],
)
def test_names_that_are_no_euis(name: str) -> None:
    with pytest.raises(Malformed):
        EuiNames.parse("_device.plant.example").eui_of(ClientName.parse(name))


def test_there_must_be_room_for_a_name() -> None:
    with pytest.raises(Misuse):
        EuiNames.parse(".".join(["x" * 60] * 4))
