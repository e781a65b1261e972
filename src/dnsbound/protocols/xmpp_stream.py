"""XMPP until SASL is done: one direction of a stream, read element by element, within limits.

A stream is one endless XML document. Its tags are cut out of the octets here, one by one, so that it is known to the
octet where a stream's head ends and the next thing begins; Expat, with namespaces, reads each tag. What RFC 6120
forbids never reaches it: comments, processing instructions, document types and with them entities (section 11.1), and
CDATA, which no negotiation needs. The octets of one stream are bounded, whatever they are.

What this is not: anything for stanzas. After SASL the gate passes octets.

Sections: RFC 6120 sections 4.7, 11.1 and 11.4.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from dnsbound.door_limits import XMPP_NEGOTIATION_DEPTH, XMPP_NEGOTIATION_OCTETS
from dnsbound.errors import LimitExceeded, Malformed
from dnsbound.limits import Budget

STREAMS: Final = "http://etherx.jabber.org/streams"

_TAG: Final = re.compile(rb"""<[^<>"']*+(?:"[^"<]*+"[^<>"']*+|'[^'<]*+'[^<>"']*+)*+>""")
_DECLARATION: Final = re.compile(rb"""<\?xml[ \t\r\n][^<>]{0,200}?\?>""")
_WHITE: Final = b" \t\r\n"
_SPACE: Final = " "
"""Between a namespace and a name, as Expat is told to write them."""


@dataclass(slots=True, kw_only=True)
class Element:
    """name: with its namespace before it, and a space. text: of the element alone. children: in order."""

    name: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """The opening tag of a stream. namespace: its default one."""

    name: str
    attributes: dict[str, str]
    namespace: str


class StreamEnd:
    """The closing tag."""


class XmppStream:
    """Reads one stream of one side."""

    __slots__ = ("_budget", "_depth", "_found", "_kept", "_namespace", "_open", "_parser", "_started")

    def __init__(self, kept: bytes = b"") -> None:
        """kept: what was heard already."""
        self._kept = bytearray(kept)
        self._budget = Budget(XMPP_NEGOTIATION_OCTETS)
        self._namespace = ""
        self._open: list[Element] = []
        self._depth = 0
        self._started = False
        self._found: StreamHead | Element | StreamEnd | None = None
        self._parser = expat.ParserCreate("utf-8", _SPACE)
        self._parser.buffer_text = True
        self._parser.StartNamespaceDeclHandler = self._declared
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text

    def receive(self, octets: bytes) -> None:
        """Keep what was said for `next`; LimitExceeded."""
        if len(self._kept) + len(octets) > XMPP_NEGOTIATION_OCTETS.default:
            raise LimitExceeded(XMPP_NEGOTIATION_OCTETS.name, "what waits to be read")
        self._kept += octets

    def next(self) -> StreamHead | Element | StreamEnd | None:
        """The stream's head, then each of its elements, then its end; None until more is heard. Malformed,
        LimitExceeded."""
        while (token := self._token()) is not None:
            self._budget.spend(len(token))
            try:
                self._parser.Parse(token)
            except expat.ExpatError as error:
                raise Malformed(f"XML: {expat.ErrorString(error.code)}") from None
            if self._found is not None:
                found, self._found = self._found, None
                return found
        return None

    def finish(self) -> bytes:
        """What was heard and not read. Nothing is read here any more."""
        self._parser.StartNamespaceDeclHandler = self._parser.StartElementHandler = None
        self._parser.EndElementHandler = self._parser.CharacterDataHandler = None  # They and this hold each other.
        return bytes(self._kept)

    def _token(self) -> bytes | None:
        """The next tag, or text before one; None until it is complete."""
        if not self._open:
            white = len(self._kept) - len(self._kept.lstrip(_WHITE))
            self._budget.spend(white)
            del self._kept[:white]
        if not self._kept:
            return None
        if self._kept[0] != b"<"[0]:
            if not self._open:
                raise Malformed("text outside of the elements of an XMPP stream")
            end = self._kept.find(b"<")
            return self._taken(end) if end > 0 else None
        if self._kept[1:2] == b"?" and not self._started:
            found = _DECLARATION.match(self._kept)
        elif self._kept[1:2] == b"!" or self._kept[1:2] == b"?":
            raise Malformed("XML that XMPP forbids")
        else:
            found = _TAG.match(self._kept)
        if found is None:
            if len(self._kept) > self._budget.left:
                raise LimitExceeded(XMPP_NEGOTIATION_OCTETS.name, "one tag")
            return None
        self._started = True
        return self._taken(found.end())

    def _taken(self, count: int) -> bytes:
        token = bytes(self._kept[:count])
        del self._kept[:count]
        return token

    # --- what Expat reads

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        if prefix is None and not self._depth:
            self._namespace = uri or ""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth == 1:
            self._found = StreamHead(name=name, attributes=attributes, namespace=self._namespace)
            return
        if self._depth > XMPP_NEGOTIATION_DEPTH.default:
            raise LimitExceeded(XMPP_NEGOTIATION_DEPTH.name, "elements in each other")
        self._open.append(Element(name=name, attributes=attributes))

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if not self._depth:
            self._found = StreamEnd()
            return
        element = self._open.pop()
        if self._open:
            self._open[-1].children.append(element)
        else:
            self._found = element

    def _text(self, text: str) -> None:
        if self._open:  # Not so for white space.
            self._open[-1].text += text
