"""``#SBATCH`` lines of a batch script: where they are read and how they are split into words.

Behaviour of SLURM 22.05: reading stops at the first line that is neither blank nor a comment; the
words of all lines form one option list.
"""

from __future__ import annotations

from dataclasses import dataclass

_MAGIC = "#SBATCH"
_FOREIGN = ("PBS", "BSUB")
_BLANKS = " \t\v\f\r"


@dataclass(frozen=True)
class DirectiveWord:
    """One word and the number of its line, from 1."""

    text: str
    line: int


@dataclass(frozen=True)
class ForeignLine:
    """A line that was written for another scheduler."""

    system: str  # PBS or BSUB
    words: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Directives:
    """What the head of a script says."""

    words: tuple[DirectiveWord, ...]
    foreign: tuple[ForeignLine, ...]


class UnmatchedQuote(ValueError):
    """A quote that its line does not close. ``rest`` is the line from that quote on."""

    def __init__(self, line: int, quote: str, rest: str) -> None:
        super().__init__(f"line {line}: unmatched {quote}")
        self.line = line
        self.quote = quote
        self.rest = rest


def scan(script: str) -> Directives:
    """The directives of a script. Raises UnmatchedQuote."""
    words: list[DirectiveWord] = []
    foreign: list[ForeignLine] = []
    for number, line in enumerate(script.split("\n"), start=1):
        bare = line.strip(_BLANKS)
        if not bare:
            continue
        if not bare.startswith("#"):
            break
        if line.startswith(_MAGIC):
            words.extend(DirectiveWord(word, number) for word in split(line[len(_MAGIC) :], number))
        else:
            for system in _FOREIGN:
                if line.startswith(f"#{system}"):
                    text = line[len(system) + 1 :]
                    foreign.append(ForeignLine(system, tuple(split(text, number)), number))
    return Directives(tuple(words), tuple(foreign))


def split(text: str, line: int) -> list[str]:
    """The words of one directive line.

    An unquoted ``#`` ends the line. A backslash drops itself and keeps the next character, inside
    either kind of quotes too, but does not join words. A word that comes out empty is none.
    """
    words: list[str] = []
    word: list[str] = []
    quote = ""
    quote_at = 0
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            following = text[position + 1 : position + 2]
            if quote or (following and following not in _BLANKS):
                word.append(following)
                position += 2
                continue
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.append(character)
        elif character in "\"'":
            quote, quote_at = character, position
        elif character == "#":
            break
        elif character in _BLANKS:
            if word:
                words.append("".join(word))
                word = []
        else:
            word.append(character)
        position += 1
    if quote:
        raise UnmatchedQuote(line, quote, text[quote_at:])
    if word:
        words.append("".join(word))
    return words
