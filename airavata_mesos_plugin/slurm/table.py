"""Tables as squeue and sinfo print them: a format text with ``%`` letters, and a letter table as data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Row = TypeVar("Row")

_FIELD = re.compile(r"%(?:%|(\.?)([0-9]{0,4})([A-Za-z]))", re.ASCII)


@dataclass(frozen=True)
class Field(Generic[Row]):
    """One letter: its heading and how its value is found."""

    heading: str
    value: Callable[[Row], str]


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One piece of a format: literal text before it, then perhaps a field with its width."""

    literal: str
    field: Field[Row] | None = None
    letter: str = ""
    width: int = 0  # 0: as long as the value
    right: bool = False
    suffix: str = ""

    def cell(self, text: str) -> str:
        """``text`` at this column's width: filled up, or cut without a mark."""
        if not self.width:
            return self.literal + text + self.suffix
        text = text[: self.width]
        filled = text.rjust(self.width) if self.right else text.ljust(self.width)
        return self.literal + filled + self.suffix


def parse_format(text: str, fields: Mapping[str, Field[Row]]) -> tuple[list[Column[Row]], list[str]]:
    """The columns of a format such as ``%.18i %j``, and the letters that nobody knows (left out)."""
    columns: list[Column[Row]] = []
    unknown: list[str] = []
    literal = ""
    position = 0
    for match in _FIELD.finditer(text):
        literal += text[position : match.start()]
        position = match.end()
        letter = match[3]
        if letter is None:
            literal += "%"
        elif letter not in fields:
            unknown.append(letter)
        else:
            columns.append(Column(literal, fields[letter], letter, int(match[2] or 0), match[1] == "."))
            literal = ""
    literal += text[position:]
    if literal:
        columns.append(Column(literal))
    return columns, unknown


_NAMED = re.compile(r"([A-Za-z0-9_\-]+)(?::(\.?)([0-9]{0,4})(.*))?", re.ASCII | re.DOTALL)
_NAMED_WIDTH = 20


def parse_names(text: str, fields: Mapping[str, Field[Row]]) -> tuple[list[Column[Row]], list[str]]:
    """The columns of a list such as ``JobID:10,Name:.12,State``, and the names that nobody knows."""
    by_name = {name.lower(): field for name, field in fields.items()}
    columns: list[Column[Row]] = []
    unknown: list[str] = []
    for entry in (part for part in text.split(",") if part.strip()):
        match = _NAMED.fullmatch(entry.lstrip())
        field = None if match is None else by_name.get(match[1].lower())
        if match is None or field is None:
            unknown.append(entry.strip() if match is None else match[1])
            continue
        suffix = match[4] or ""
        width = int(match[3]) if match[3] else 0 if suffix else _NAMED_WIDTH
        columns.append(Column("", field, match[1], width, match[2] == ".", suffix))
    return columns, unknown


def render(columns: Sequence[Column[Row]], rows: Iterable[Row], *, header: bool) -> str:
    """The table with one line per row, each ended by a newline."""
    if not columns:  # SLURM prints the header's newline and nothing else
        return "\n" if header else ""
    lines = []
    if header:
        lines.append(heading(columns))
    lines.extend(line(columns, row) for row in rows)
    return "".join(lines)


def heading(columns: Sequence[Column[Row]]) -> str:
    """The first line of a table, ended by a newline."""
    return "".join([column.cell(column.field.heading if column.field else "") for column in columns]) + "\n"


def line(columns: Sequence[Column[Row]], row: Row) -> str:
    """The line of one row, ended by a newline."""
    cells = [column.cell(visible(column.field.value(row)) if column.field else "") for column in columns]
    return "".join(cells) + "\n"


def visible(text: str) -> str:
    """``text`` with a question mark for each character that would break a line or move the cursor."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)
