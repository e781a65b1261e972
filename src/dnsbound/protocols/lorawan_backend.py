"""Messages between network, join and application servers of LoRaWAN (Backend Interfaces 1.0): one JSON object each.

What every message has is read and checked here: version, sender, receiver, transaction, type, result. The objects that
belong to one type of message (PHYPayload, DevEUI, keys in envelopes, ...) are handed on as they are.

Sections: LoRaWAN Backend Interfaces 1.0 (TS002) sections 22.1 to 22.4, Tables 12, 14, 15 and 24.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Self

from dnsbound.door_limits import LORAWAN_MESSAGE_OCTETS
from dnsbound.errors import LimitExceeded, Malformed, Misuse
from dnsbound.protocols.json_object import JsonMembers
from dnsbound.protocols.lorawan_names import server_id

PROTOCOL_VERSION: Final = "1.0"


class MessageType(StrEnum):
    """Table 12: each request and its answer."""

    JOIN_REQ = "JoinReq"
    JOIN_ANS = "JoinAns"
    REJOIN_REQ = "RejoinReq"
    REJOIN_ANS = "RejoinAns"
    APP_S_KEY_REQ = "AppSKeyReq"
    APP_S_KEY_ANS = "AppSKeyAns"
    PR_START_REQ = "PRStartReq"
    PR_START_ANS = "PRStartAns"
    PR_STOP_REQ = "PRStopReq"
    PR_STOP_ANS = "PRStopAns"
    HR_START_REQ = "HRStartReq"
    HR_START_ANS = "HRStartAns"
    HR_STOP_REQ = "HRStopReq"
    HR_STOP_ANS = "HRStopAns"
    HOME_NS_REQ = "HomeNSReq"
    HOME_NS_ANS = "HomeNSAns"
    PROFILE_REQ = "ProfileReq"
    PROFILE_ANS = "ProfileAns"
    XMIT_DATA_REQ = "XmitDataReq"
    XMIT_DATA_ANS = "XmitDataAns"

    @property
    def is_answer(self) -> bool:
        return self.value.endswith("Ans")

    @property
    def answer(self) -> "MessageType":
        """The type of a request's answer. Misuse for an answer."""
        if self.is_answer:
            raise Misuse(f"{self} is an answer itself")
        return MessageType(self.value.removesuffix("Req") + "Ans")


class ResultCode(StrEnum):
    """Table 24. `UnkownReceiver` stands so in the document; both spellings are read, and the right one is written."""

    SUCCESS = "Success"
    MIC_FAILED = "MICFailed"
    JOIN_REQ_FAILED = "JoinReqFailed"
    NO_ROAMING_AGREEMENT = "NoRoamingAgreement"
    DEV_ROAMING_DISALLOWED = "DevRoamingDisallowed"
    ROAMING_ACT_DISALLOWED = "RoamingActDisallowed"
    ACTIVATION_DISALLOWED = "ActivationDisallowed"
    UNKNOWN_DEV_EUI = "UnknownDevEUI"
    UNKNOWN_DEV_ADDR = "UnknownDevAddr"
    UNKNOWN_SENDER = "UnknownSender"
    UNKNOWN_RECEIVER = "UnknownReceiver"
    DEFERRED = "Deferred"
    XMIT_FAILED = "XmitFailed"
    INVALID_F_PORT = "InvalidFPort"
    INVALID_PROTOCOL_VERSION = "InvalidProtocolVersion"
    STALE_DEVICE_PROFILE = "StaleDeviceProfile"
    MALFORMED_REQUEST = "MalformedRequest"
    FRAME_SIZE_ERROR = "FrameSizeError"
    OTHER = "Other"


_MISSPELT: Final = MappingProxyType({"UnkownReceiver": ResultCode.UNKNOWN_RECEIVER})


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a request."""

    code: ResultCode
    description: str = ""


SUCCESS: Final = Result(ResultCode.SUCCESS)
_KNOWN: Final = frozenset(
    {
        "ProtocolVersion",
        "SenderID",
        "ReceiverID",
        "TransactionID",
        "MessageType",
        "Result",
        "SenderToken",
        "ReceiverToken",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendMessage:
    """One message. sender, receiver: in the form of `server_id`. objects: those of its type, by their names."""

    message_type: MessageType
    sender: str
    receiver: str
    transaction: int
    result: Result | None = None
    """Of an answer; of a request, None."""
    sender_token: str = ""
    receiver_token: str = ""
    protocol_version: str = PROTOCOL_VERSION
    """As it came: a receiver answers another one with InvalidProtocolVersion."""
    objects: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.result is not None) != self.message_type.is_answer:
            raise Malformed(f"{self.message_type} {'has no' if self.result is None else 'has a'} Result")
        if not 0 <= self.transaction < 1 << 32:
            raise Malformed("a TransactionID has 32 bits")
        if not _KNOWN.isdisjoint(self.objects):
            raise Misuse("the objects of a message are not those that every message has")

    @classmethod
    def from_wire(cls, octets: bytes) -> Self:
        """Malformed, LimitExceeded."""
        if len(octets) > LORAWAN_MESSAGE_OCTETS.default:
            raise LimitExceeded(LORAWAN_MESSAGE_OCTETS.name, f"a message of {len(octets)} octets")
        members = JsonMembers.from_wire(octets, "LoRaWAN backend message")
        word = members.text("MessageType")
        try:
            message_type = MessageType(word)
        except ValueError:
            raise Malformed(f"no MessageType of this version: {word[:64]!r}") from None
        return cls(
            message_type=message_type,
            sender=server_id(members.text("SenderID")),
            receiver=server_id(members.text("ReceiverID")),
            transaction=members.number("TransactionID", -1),
            result=_result(members.below("Result")) if "Result" in members else None,
            sender_token=members.text("SenderToken"),
            receiver_token=members.text("ReceiverToken"),
            protocol_version=members.text("ProtocolVersion"),
            objects=members.rest(),
        )

    def to_wire(self) -> bytes:
        """JSON in UTF-8. LimitExceeded for one that no other end of this package would read."""
        told: dict[str, Any] = {
            "ProtocolVersion": self.protocol_version,
            "SenderID": self.sender,
            "ReceiverID": self.receiver,
            "TransactionID": self.transaction,
            "MessageType": self.message_type.value,
        }
        if self.sender_token:
            told["SenderToken"] = self.sender_token
        if self.receiver_token:
            told["ReceiverToken"] = self.receiver_token
        if self.result is not None:
            told["Result"] = {"ResultCode": self.result.code.value}
            if self.result.description:
                told["Result"]["Description"] = self.result.description
        octets = json.dumps(told | dict(self.objects), allow_nan=False).encode()
        if len(octets) > LORAWAN_MESSAGE_OCTETS.default:
            raise LimitExceeded(LORAWAN_MESSAGE_OCTETS.name, f"a message of {len(octets)} octets")
        return octets

    def answered(self, result: Result, objects: Mapping[str, Any] | None = None) -> "BackendMessage":
        """The answer to this request, from its receiver to its sender. Misuse for an answer."""
        return BackendMessage(
            message_type=self.message_type.answer,
            sender=self.receiver,
            receiver=self.sender,
            transaction=self.transaction,
            result=result,
            receiver_token=self.sender_token,
            objects=objects or {},
        )


def _result(told: JsonMembers) -> Result:
    word = told.text("ResultCode")
    try:
        code = _MISSPELT.get(word) or ResultCode(word)
    except ValueError:
        raise Malformed(f"no ResultCode of this version: {word[:64]!r}") from None
    return Result(code, told.text("Description"))
