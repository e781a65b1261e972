"""Rows at or below a name, page by page in tree order, parents before children.

Conditions that both databases answer from an index of sort keys, page after page, without looking at a row twice: a
subtree is one range, apart from names such as `cars-x.example`, which sort between `cars.example` and what is below it.
"""

from typing import Final

from sqlalchemy import ColumnElement, and_, not_, or_

from dnsbound.provision.owner import OwnerName

BEGINNING: Final = ("", 0)
"""What the first page comes after."""


def at_or_below(key: ColumnElement[str], top: OwnerName, *, after: str = "") -> ColumnElement[bool]:
    """Rows of a subtree. key: the column of sort keys. after: those behind this sort key alone."""
    beginning = key > after if after >= top.sort_key else key >= top.sort_key
    return _from(beginning, key, top)


def below(key: ColumnElement[str], top: OwnerName, *, after: str = "") -> ColumnElement[bool]:
    """The same without the name at the top."""
    start, end = top.below
    return and_(key > after if after >= start else key >= start, key < end)


def page_after(
    last: tuple[str, int], key: ColumnElement[str], number: ColumnElement[int], top: OwnerName
) -> ColumnElement[bool]:
    """Rows of a subtree behind the last one of a page, which was in the order of (key, number)."""
    lower = max(last[0], top.sort_key)
    return and_(_from(key >= lower, key, top), not_(and_(key == last[0], number <= last[1])))


def _from(beginning: ColumnElement[bool], key: ColumnElement[str], top: OwnerName) -> ColumnElement[bool]:
    # One lower bound alone: of two SQLite takes the first, and reads every page before this one again.
    start, end = top.below
    return and_(beginning, key < end, or_(key == top.sort_key, key >= start))
