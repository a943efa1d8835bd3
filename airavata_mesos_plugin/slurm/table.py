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

    def cell(self, text: str) -> str:
        """``text`` at this column's width: filled up, or cut without a mark."""
        if not self.width:
            return self.literal + text
        text = text[: self.width]
        return self.literal + (text.rjust(self.width) if self.right else text.ljust(self.width))


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


def render(columns: Sequence[Column[Row]], rows: Iterable[Row], *, header: bool) -> str:
    """The table with one line per row, each ended by a newline."""
    lines = []
    if header:
        lines.append("".join(column.cell(column.field.heading if column.field else "") for column in columns))
    lines.extend(
        "".join(column.cell(visible(column.field.value(row)) if column.field else "") for column in columns)
        for row in rows
    )
    return "".join(f"{line}\n" for line in lines)


def visible(text: str) -> str:
    """``text`` with a question mark for each character that would break a line or move the cursor."""
    return "".join(character if character.isprintable() else "?" for character in text)
