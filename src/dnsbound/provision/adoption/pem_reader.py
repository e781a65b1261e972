"""Files of PEM blocks, any number of them, and files of one DER object.

Text between the blocks is passed over, as RFC 7468 section 2 wants. A certificate that issued the one before it is the
rest of that client's chain, and is passed over as well.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from dnsbound.limits import ADOPTED_ROW_OCTETS
from dnsbound.provision.adoption.bounded_lines import bounded_lines, whole
from dnsbound.provision.adoption.candidate import BadRow, Candidate, PassedOver, Problem, Row, RowFault
from dnsbound.provision.adoption.key_material import Material, material_of_block, material_of_octets
from dnsbound.provision.adoption.source import Source

_BEGIN: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,64})-----\s*")
_END: Final = re.compile(rb"-----END ([A-Z0-9 ]{1,64})-----\s*")
_PARAMETERS: Final = frozenset({"EC PARAMETERS", "DH PARAMETERS", "X509 CRL"})
"""Blocks that programs write beside keys and that name nobody."""


def read_pem(source: Source) -> Iterator[Row]:
    """A row for each block."""
    before: Material | None = None
    for line, label, body in _blocks(source):
        where = source.at(line)
        if label in _PARAMETERS:
            continue
        try:
            material = _material(label, body)
        except RowFault as fault:
            yield BadRow(where=where, problem=fault.problem, detail=fault.detail)
            continue
        if before is not None and material.is_ca and material.subject == before.issuer:
            yield PassedOver(where=where, what="the issuer of the certificate before it")
        else:
            yield row_of_material(material, where, source.stem)
        before = material


def read_der(source: Source) -> Iterator[Row]:
    """The one row of a file that is DER, or the public area of a TPM's key."""
    limit = ADOPTED_ROW_OCTETS.checked(source.rules.row_octets)
    octets = source.stream.read(limit + 1)
    try:
        material = material_of_octets(whole(octets if len(octets) <= limit else None, limit))
    except RowFault as fault:
        yield BadRow(where=source.label, problem=fault.problem, detail=fault.detail)
        return
    yield row_of_material(material, source.label, source.stem)


def row_of_material(material: Material, where: str, stem: str | None) -> Candidate | BadRow:
    """A file's key as a candidate, unless it is an authority's."""
    if material.is_authority:
        detail = "the certificate of an authority, which is no client: `dnsbound authority publish` is for it"
        return BadRow(where=where, problem=Problem.AUTHORITY, detail=detail)
    shown = replace(material.shown, file_name=stem)
    return Candidate(where=where, spki=material.spki, certificate=material.certificate, shown=shown)


def _material(label: str, body: bytes | None) -> Material:
    if label.endswith("PRIVATE KEY"):
        raise RowFault(Problem.PRIVATE_KEY, "a private key; only public keys are adopted")
    if body is None:
        raise RowFault(Problem.UNREADABLE, f"the {label} does not end, or is longer than a row may be")
    return material_of_block(label, body)


def _blocks(source: Source) -> Iterator[tuple[int, str, bytes | None]]:
    """Line, label and body of each block; None for a body that has no good end. Bodies of private keys are not kept."""
    limit = ADOPTED_ROW_OCTETS.checked(source.rules.row_octets)
    label, started, body, size = "", 0, [b""], 0
    for number, line in bounded_lines(source.stream, limit):
        begin = None if line is None else _BEGIN.fullmatch(line)
        end = None if line is None else _END.fullmatch(line)
        if begin is not None:
            if label:
                yield started, label, None
            label, started, body, size = begin[1].decode("ascii"), number, [], 0
        elif label and end is not None:
            whole = end[1].decode("ascii") == label and size <= limit
            yield started, label, b"".join(body) if whole else None
            label = ""
        elif label:
            size += limit + 1 if line is None else len(line)
            if line is not None and size <= limit and not label.endswith("PRIVATE KEY"):
                body.append(line)
    if label:
        yield started, label, None
