"""One JSON object of a signed object: UTF-8, every member once, and nothing that two readers could take for two things.

RFC 7515 section 4 lets a reader take the last of two members of one name; then two readers see two objects under one
signature. Refused as well: NaN and its likes, numbers out of range, halves of surrogate pairs (RFC 7493 section 2).
"""

import json
import math
import re
from typing import Any, Final, NoReturn

from dnsbound.errors import Malformed

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def read_object(octets: bytes, what: str) -> dict[str, Any]:
    """what: the thing being read, for errors. Malformed when it is no such object; its length is the caller's to
    bound."""
    try:
        text = octets.decode("utf-8")
        value = _decode(text)
        if _SURROGATE.search(text) is not None:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what} is not UTF-8", error.start) from None
    except UnicodeEncodeError:
        raise Malformed(f"{what} has half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise Malformed(f"{what} is not JSON: {error.msg}", error.pos) from None
    except (RecursionError, ValueError):  # the latter: a number of thousands of digits
        raise Malformed(f"{what} is nested too deeply, or has a number too long") from None
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not a JSON object")
    return value


def write_object(members: dict[str, Any]) -> bytes:
    """Without white space, in the order given."""
    return _encode(members).encode("utf-8")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Malformed("JSON: an object names a member twice")
    return found


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Malformed("JSON: a number is out of range")
    return number


def _no_constant(word: str) -> NoReturn:
    raise Malformed(f"JSON: {word} is no number")


_decode: Final = json.JSONDecoder(object_pairs_hook=_once, parse_float=_number, parse_constant=_no_constant).decode
_encode: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
