"""Which format a file is in, by its first octets, and the reader for it."""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import PurePath
from types import MappingProxyType
from typing import Final

from dnsbound.provision.adoption.candidate import Problem, Row, RowFault
from dnsbound.provision.adoption.columns import columns_of
from dnsbound.provision.adoption.json_reader import is_json_object, read_json_document, read_json_lines
from dnsbound.provision.adoption.openssh_reader import looks_like_openssh, read_openssh
from dnsbound.provision.adoption.pem_reader import read_der, read_pem
from dnsbound.provision.adoption.source import Source
from dnsbound.provision.adoption.table_reader import read_table, separator_of

HEAD_OCTETS: Final = 65_536
"""How much of a file is looked at to tell its format."""

_BLOCK: Final = re.compile(rb"^-----BEGIN ", re.MULTILINE)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_UTF8_MARK: Final = b"\xef\xbb\xbf"

_REFUSED: Final[tuple[tuple[bytes, Problem, str], ...]] = (
    (b"\x1f\x8b", Problem.COMPRESSED, "compressed with gzip: unpack it first"),
    (b"BZh", Problem.COMPRESSED, "compressed with bzip2: unpack it first"),
    (b"\xfd7zXZ\x00", Problem.COMPRESSED, "compressed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", Problem.COMPRESSED, "compressed with zstd: unpack it first"),
    (b"PK\x03\x04", Problem.COMPRESSED, "a zip archive or a spreadsheet: unpack it, or export it as CSV"),
    (b"\xfe\xed\xfe\xed", Problem.PRIVATE_KEY, "a Java key store: export the certificates as PEM"),
    (b"PuTTY-User-Key-File-", Problem.PRIVATE_KEY, "a private key of PuTTY; only public keys are adopted"),
    (b"\xff\xfe", Problem.ENCODING, "UTF-16: save it as UTF-8"),
    (b"\xfe\xff", Problem.ENCODING, "UTF-16: save it as UTF-8"),
    (b"---- BEGIN SSH2", Problem.UNKNOWN_FORMAT, "RFC 4716: ssh-keygen -i turns it into an OpenSSH line"),
)


class Format(StrEnum):
    """What is read."""

    PEM = "pem"
    DER = "der"
    OPENSSH = "openssh"
    TABLE = "csv"
    JSON = "json"
    JSON_LINES = "jsonl"


READERS: Final[Mapping[Format, Callable[[Source], Iterator[Row]]]] = MappingProxyType(
    {
        Format.PEM: read_pem,
        Format.DER: read_der,
        Format.OPENSSH: read_openssh,
        Format.TABLE: read_table,
        Format.JSON: read_json_document,
        Format.JSON_LINES: read_json_lines,
    }
)

_LINES: Final = frozenset({".jsonl", ".ndjson"})
_TABLES: Final = frozenset({".csv", ".tsv"})


def format_of(head: bytes, name: str, columns: Mapping[str, str]) -> Format:
    """The format of a file that begins with `head`. columns: `ReadingRules.columns`. RowFault when it is none."""
    for magic, problem, detail in _REFUSED:
        if head.startswith(magic):
            raise RowFault(problem, detail)
    text = head.removeprefix(_UTF8_MARK)
    start = text.lstrip()
    suffix = PurePath(name).suffix.lower()
    if not start:
        raise RowFault(Problem.UNKNOWN_FORMAT, "the file is empty")
    if _CONTROL.search(text) is not None:
        return Format.DER
    if start[:1] in (b"{", b"["):
        lines = suffix in _LINES or (start[:1] == b"{" and is_json_object(start.partition(b"\n")[0]))
        return Format.JSON_LINES if lines else Format.JSON
    if suffix not in _TABLES and _BLOCK.search(text):
        return Format.PEM
    return _of_text(text, suffix, columns)


def _of_text(text: bytes, suffix: str, columns: Mapping[str, str]) -> Format:
    lines = text.decode("utf-8", "replace").splitlines()
    line = next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
    if suffix in _TABLES:
        return Format.TABLE
    if looks_like_openssh(line):
        return Format.OPENSSH
    header = [column.strip().strip('"') for column in line.split(separator_of(line) or ",")]
    try:
        columns_of(header, columns)
    except RowFault:
        raise RowFault(
            Problem.UNKNOWN_FORMAT, "neither PEM, DER, OpenSSH, JSON, nor a table whose header names a key column"
        ) from None
    return Format.TABLE
