"""A table of results, printed as docs/performance.md has it."""


class Table:
    """Rows of text under a title and a header, with notes below."""

    def __init__(self, title: str, header: list[str]) -> None:
        self._title = title
        self._rows = [header]
        self._notes: list[str] = []

    def row(self, *cells: str) -> None:
        if len(cells) != len(self._rows[0]):
            raise ValueError(f"{self._title}: {len(cells)} cells in a table of {len(self._rows[0])} columns")
        self._rows.append(list(cells))

    def note(self, text: str) -> None:
        """A sentence under the table: what was compared, or what is missing."""
        self._notes.append(text)

    def __str__(self) -> str:
        widths = [max(len(row[column]) for row in self._rows) for column in range(len(self._rows[0]))]
        lines = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
            for row in self._rows
        ]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        notes = "".join(f"\n{note}\n" for note in self._notes)
        return f"### {self._title}\n\n" + "\n".join(lines) + "\n" + notes
