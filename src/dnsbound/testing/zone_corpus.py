"""A corpus of DNSSEC situations at work: its zones signed, its anchors, and our validator's judgement of each.

What a situation is, and how it is written down, stands in `zone_situations`. Peers are asked the same questions by the
tests that start them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import dns.name

from dnsbound.dns.anchors import TrustAnchors
from dnsbound.dns.answer import Answer
from dnsbound.dns.canonical import name_of
from dnsbound.dns.messages import Query, Question, Response
from dnsbound.dns.policy import Policy
from dnsbound.dns.validator import Validation, validate
from dnsbound.testing.zone_answers import ZoneAnswers
from dnsbound.testing.zone_situations import TOP, Situation, read_situations
from dnsbound.testing.zones import DsPlan, ZonePlan, ZoneTree
from dnsbound.times import Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """All situations of a directory, their zones signed at one moment, and the anchors they are to be judged by."""

    situations: tuple[Situation, ...]
    signed_at: Moment
    tree: ZoneTree
    anchors: str
    """DS and DNSKEY lines, zone-file form: the root's and the private ones."""
    negative_anchors: tuple[dns.name.Name, ...]
    trust_anchors: TrustAnchors
    """Both, as the validator takes them."""
    resolver: ZoneAnswers
    """Answers as a resolver that validates nothing."""

    @classmethod
    def read(cls, directory: Path, *, now: Moment) -> Self:
        """Read and sign; raises Malformed, or Misuse for a zone that cannot be made."""
        return cls.of(read_situations(directory), now=now)

    @classmethod
    def of(cls, chosen: Iterable[Situation], *, now: Moment) -> Self:
        """Sign the zones of these situations; raises Misuse for a zone that cannot be made."""
        situations = tuple(chosen)
        plans = [ZonePlan.of("."), ZonePlan.of(TOP), *(plan for situation in situations for plan in situation.plans)]
        tree = ZoneTree.build(plans, now=now)
        anchors = tree.anchors() + "".join(_anchor(tree, situation) for situation in situations)
        negative_anchors = tuple(one.origin for one in situations if one.anchor == "negative")
        trust_anchors = TrustAnchors.from_text(anchors)
        for name in negative_anchors:
            trust_anchors = trust_anchors.without(name)
        return cls(
            situations=situations,
            signed_at=now,
            tree=tree,
            anchors=anchors,
            negative_anchors=negative_anchors,
            trust_anchors=trust_anchors,
            resolver=ZoneAnswers(tree.zones, recursive=True),
        )

    def look_up(self, question: Question, *, flags: int = 0) -> Response:
        """The resolver's reply to a question of the validator's; flags: more header flags."""
        query = Query(0, name_of(question.key), question.rdtype).to_wire()
        wire = self.resolver.respond_wire(query, udp=False)
        assert wire is not None
        header = int.from_bytes(wire[2:4]) | flags
        return Response.from_wire(wire[:2] + header.to_bytes(2) + wire[4:], source="the corpus")

    def judge(
        self,
        situation: Situation,
        *,
        look_up: Callable[[Question], Response] | None = None,
        now: Moment | None = None,
        policy: Policy | None = None,
    ) -> Answer:
        """The validator's answer to the situation's question. look_up: who is asked; by default the zones."""
        validation = Validation(
            situation.question,
            situation.rdtype,
            anchors=self.trust_anchors,
            now=self.signed_at if now is None else now,
            policy=policy or Policy(),
        )
        return validate(validation, look_up or self.look_up)


def markdown(situations: Iterable[Situation]) -> str:
    """The situations as Markdown tables, one for each kind, and the differences with their reasons."""
    lines: list[str] = []
    kind = ""
    for one in situations:
        if one.kind != kind:
            kind = one.kind
            lines += ["", f"## {kind}", "", "| situation | section | what | judged |", "|---|---|---|---|"]
        judged = f"{one.expected}" if one.differs is None else f"{one.expected}; Unbound: {one.differs}"
        about = one.about if not one.because else f"{one.about} {one.because}"
        lines.append(f"| {one.name} | {one.rfc} | {about} | {judged} |")
    return "\n".join(lines[1:]) + "\n"


def _anchor(tree: ZoneTree, situation: Situation) -> str:
    origin = situation.origin.to_text()
    zone = tree.zone(origin)
    match situation.anchor:
        case "ds":
            return tree.anchors(origin)
        case "dnskey":
            return "".join(f"{origin} 3600 IN DNSKEY {key.dnskey}\n" for key in zone.keys if key.plan.signs_keys)
        case "stranger":
            [record] = DsPlan.parse("sha256 stranger").records(zone.origin, zone.keys)
            return f"{origin} 3600 IN DS {record}\n"
        case _:
            return ""
