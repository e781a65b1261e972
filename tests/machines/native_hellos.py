"""The extensions of a ClientHello or ServerHello in clear: read, and put back changed."""

import struct
from collections.abc import Mapping

from adversary.hostile_client import CLIENT_HELLO, HANDSHAKE, extension, message, vector

HEADER = 5


def hello_extensions(record: bytes) -> dict[int, bytes]:
    """extension_data by number, of the hello that begins this record."""
    _, _, block, _ = _split(record)
    extensions = {}
    while block:
        number, length = struct.unpack_from("!HH", block)
        extensions[number] = block[4 : 4 + length]
        block = block[4 + length :]
    return extensions


def with_extensions(record: bytes, changes: Mapping[int, bytes | None]) -> bytes:
    """The octets with the hello's extensions changed, added, or (None) left out; what follows the hello stays."""
    kind, body, _, rest = _split(record)
    extensions: dict[int, bytes | None] = {**hello_extensions(record), **changes}
    block = b"".join(extension(number, data) for number, data in extensions.items() if data is not None)
    hello = message(kind, body + vector(block, 2))
    return _record(hello) + rest


def _record(messages: bytes) -> bytes:
    return struct.pack("!BHH", HANDSHAKE, 0x0303, len(messages)) + messages


def _split(record: bytes) -> tuple[int, bytes, bytes, bytes]:
    """(message type, body up to the extensions, extensions, what follows the message)."""
    assert record[0] == HANDSHAKE
    end = HEADER + int.from_bytes(record[3:5], "big")
    content, after = record[HEADER:end], record[end:]
    kind, length = content[0], int.from_bytes(content[1:4], "big")
    body, others = content[4 : 4 + length], content[4 + length :]
    place = 34 + 1 + body[34]  # version, random, session id
    if kind == CLIENT_HELLO:
        place += 2 + int.from_bytes(body[place : place + 2], "big")  # cipher suites
        place += 1 + body[place]  # compression methods
    else:
        place += 3  # the chosen ones
    return kind, body[:place], body[place + 2 :], (_record(others) if others else b"") + after
