"""Results on narrow terminals: nothing is cut, no word is broken that would fit, indented lines stay indented."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

GAPS = (2, 1)
"""Spaces between columns, the second where the first is too much."""

HANG = 2
"""Columns that the rest of a wrapped line is further in."""


def fitted(table: Table, console: Console) -> Table | Text:
    """In pipes the table as it is. On terminals without columns that say nothing, and narrowed at words; where no word may
    be broken any more, a paragraph per row.
    """
    if not console.is_terminal:
        return table
    names, rows = _contents(table)
    used = [number for number in range(len(names)) if not rows or any(row[number].plain.strip() for row in rows)]
    names, rows = [names[number] for number in used], [[row[number] for number in used] for row in rows]
    columns = [[name, *(row[number] for row in rows)] for number, name in enumerate(names)]
    widths = [max(cell.cell_len for cell in column) for column in columns]
    floors = [max(map(_longest_word, column)) for column in columns]
    gap = next((gap for gap in GAPS if sum(floors) + gap * (len(columns) - 1) <= console.width), None)
    if gap is None:
        return _paragraphs(names, rows, console)
    room = console.width - gap * (len(columns) - 1)
    again = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
    for name, width in zip(names, _narrowed(widths, floors, room), strict=True):
        again.add_column(name, width=width, overflow="fold")
    for row in rows:
        again.add_row(*row)
    return again


def _narrowed(widths: list[int], floors: list[int], room: int) -> list[int]:
    """Columns as wide as they want, those that can give most narrowed first; none below its longest word."""
    widths = list(widths)
    for number in sorted(range(len(widths)), key=lambda number: floors[number] - widths[number]):
        excess = max(0, sum(widths) - room)
        widths[number] -= min(excess, widths[number] - floors[number])
    return widths


def hanging(text: Text, console: Console) -> Text:
    """The text wrapped at words, each line's rest two columns further in than the line; in pipes as it is."""
    if not console.is_terminal:
        return text
    lines = []
    for line in text.split("\n", allow_blank=True):
        indent = len(line.plain) - len(line.plain.lstrip())
        first, *rest = line[indent:].wrap(console, max(20, console.width - indent - HANG)) or [Text()]
        lines.append(Text(" " * indent) + first)
        lines += [Text(" " * (indent + HANG)) + part for part in rest]
    return Text("\n").join(lines)


def _contents(table: Table) -> tuple[list[Text], list[list[Text]]]:
    names = [_text(column.header) for column in table.columns]
    columns = [[_text(cell) for cell in column.cells] for column in table.columns]
    return names, [list(row) for row in zip(*columns, strict=True)]


def _text(cell: object) -> Text:
    return cell if isinstance(cell, Text) else Text(str(cell))


def _longest_word(text: Text) -> int:
    return max((Text(word).cell_len for word in text.plain.split()), default=0)


def _paragraphs(names: list[Text], rows: list[list[Text]], console: Console) -> Text:
    paragraphs = []
    for first, *others in rows:
        said = [
            Text.assemble((name.plain + " ", "dim"), cell) for name, cell in zip(names[1:], others, strict=True) if cell.plain
        ]
        paragraphs.append(Text.assemble(Text(first.plain, style="bold"), "\n    ") + Text("; ").join(said))
    return hanging(Text("\n").join(paragraphs), console)
