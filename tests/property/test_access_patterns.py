"""The access list against a slow matcher that tries every way a pattern can be laid on a name."""

from hypothesis import given
from hypothesis import strategies as st

from dnsbound.errors import Malformed, Refused
from dnsbound.names import ClientName
from dnsbound.verify.access import AccessList
from dnsbound.verify.patterns import NamePattern, PatternTree

LITERALS = st.sampled_from(["a", "b", "_d", "_e"])
NAMES = st.lists(LITERALS, min_size=2, max_size=6).map(tuple)


def _is_pattern(labels: tuple[str, ...]) -> bool:
    return labels.count("**") <= 1 and any("*" in label for label in labels)


PATTERNS = st.lists(st.sampled_from(["a", "b", "_d", "*", "**"]), min_size=2, max_size=6).map(tuple).filter(_is_pattern)


def slow(pattern: tuple[str, ...], name: tuple[str, ...], *, underscores: bool) -> bool:
    """By the definition: `*` takes one label, `**` one or more, a literal itself."""
    if not pattern or not name:
        return not pattern and not name
    head, *_ = pattern
    takes = underscores or not name[0].startswith("_")
    if head == "**":
        return takes and any(slow(rest, name[1:], underscores=underscores) for rest in (pattern, pattern[1:]))
    if head == "*":
        return takes and slow(pattern[1:], name[1:], underscores=underscores)
    return head == name[0] and slow(pattern[1:], name[1:], underscores=underscores)


@given(st.lists(PATTERNS, max_size=8), NAMES, st.booleans())
def test_the_tree_finds_what_the_definition_says(
    patterns: list[tuple[str, ...]], name: tuple[str, ...], underscores: bool
) -> None:
    tree: PatternTree[tuple[str, ...]] = PatternTree(takes_underscores=underscores)
    for pattern in patterns:
        tree.add(NamePattern.parse(".".join(pattern)), pattern)
    expected = {pattern for pattern in patterns if slow(pattern, name, underscores=underscores)}
    found = tree.matches(name)
    assert set(found) == expected
    assert len(found) == len(expected)


@given(
    allow=st.lists(st.one_of(PATTERNS, NAMES), max_size=6),
    deny=st.lists(st.one_of(PATTERNS.filter(lambda pattern: pattern != ("**",)), NAMES), max_size=3),
    name=NAMES,
)
def test_a_door_opens_exactly_to_allowed_names_that_are_not_denied(
    allow: list[tuple[str, ...]], deny: list[tuple[str, ...]], name: tuple[str, ...]
) -> None:
    quoted = [", ".join(f'"{".".join(labels)}"' for labels in group) for group in (allow, deny)]
    access = AccessList.from_toml(
        f"[door.x]\nallow = [{quoted[0]}]\ndeny = [{quoted[1]}]\ndanger_short_patterns = true\n"
    )
    expected = any(slow(entry, name, underscores=False) for entry in allow) and not any(
        slow(entry, name, underscores=True) for entry in deny
    )
    try:
        access.permit("x", ClientName.parse(".".join(name)))
    except Refused:
        assert not expected
    else:
        assert expected


@given(PATTERNS)
def test_a_pattern_is_what_its_text_says(labels: tuple[str, ...]) -> None:
    pattern = NamePattern.parse(".".join(labels))
    assert NamePattern.parse(pattern.to_text()) == pattern
    assert pattern.labels[len(pattern.labels) - len(pattern.suffix) :] == pattern.suffix
    assert not any("*" in label for label in pattern.suffix)


@given(st.text(max_size=60))
def test_any_text_is_a_pattern_or_malformed(text: str) -> None:
    try:
        pattern = NamePattern.parse(text)
    except Malformed:
        return
    assert pattern.to_text() == text.lower()


TOML_PIECES = st.sampled_from(
    [
        "[door.api]\n",
        "allow",
        "deny",
        "=",
        "[",
        "]",
        "{",
        "}",
        "names",
        "grants",
        '"a.b"',
        '"*.a.b"',
        "1",
        "\n",
        ",",
        "true",
        "#",
        ".",
    ]
)


@given(st.one_of(st.text(max_size=80), st.lists(TOML_PIECES, max_size=30).map(" ".join)))
def test_any_text_is_a_list_or_malformed(text: str) -> None:
    try:
        access = AccessList.from_toml(text)
    except Malformed:
        return
    assert len(access) <= text.count("a.b")
