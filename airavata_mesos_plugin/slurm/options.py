"""Command line options the way GNU ``getopt_long`` reads them, as SLURM 22.05's commands do.

A command's options are one table (a tuple of `Option`). `parse` knows nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Argument(Enum):
    """Whether an option takes a value."""

    NONE = "none"
    REQUIRED = "required"
    OPTIONAL = "optional"  # only glued to the option: --nice=5
    AHEAD = "ahead"  # as OPTIONAL, or the next word unless it begins with "-": squeue -j 5


@dataclass(frozen=True)
class Option:
    """One entry of a command's table. ``dest`` is the option's identity: aliases share it."""

    long: str
    short: str = ""
    argument: Argument = Argument.NONE
    dest: str = ""
    environment: str = ""  # variable that sets the option too
    ignored: str = ""  # accepted; this is why that is harmless
    refused: tuple[str, ...] = ()  # lines that say why not and what to do instead
    refusal_exit: int = 1

    @property
    def name(self) -> str:
        """The identity that two spellings of one option share."""
        return self.dest or self.long


class OptionError(Exception):
    """The command line cannot be read; the text is getopt's, without the command's name."""


@dataclass(frozen=True)
class Given:
    """One option as it was given."""

    option: Option
    value: str | None
    source: str = "command line"


@dataclass(frozen=True)
class Parsed:
    """Options in their order, and the words that are none."""

    options: tuple[Given, ...]
    words: tuple[str, ...]

    def last(self, name: str) -> Given | None:
        """The last occurrence, which is the one that counts."""
        return next((given for given in reversed(self.options) if given.option.name == name), None)

    def value(self, name: str) -> str | None:
        """The value of the last occurrence; None without one."""
        given = self.last(name)
        return None if given is None else given.value

    def has(self, name: str) -> bool:
        """True when the option was given."""
        return self.last(name) is not None


def parse(
    argv: Sequence[str],
    table: Sequence[Option],
    *,
    stop_at_word: bool,
    sources: Sequence[str] | None = None,
) -> Parsed:
    """Read ``argv``. Raises OptionError.

    ``stop_at_word`` ends the reading at the first word that is no option (sbatch: what follows belongs
    to the script); otherwise words and options may be mixed. ``sources`` says for each word of ``argv``
    where it comes from, for error messages.
    """
    longs = tuple(table)
    shorts: Mapping[str, Option] = {option.short: option for option in table if option.short}
    options: list[Given] = []
    words: list[str] = []
    position = 0
    while position < len(argv):
        word = argv[position]
        source = sources[position] if sources is not None else "command line"
        position += 1
        if word == "--":
            words.extend(argv[position:])
            break
        if word.startswith("--"):
            option, value = _long(word, longs)
            if value is None and _takes_next(option, argv, position):
                value = argv[position]
                position += 1
            if value is None and option.argument is Argument.REQUIRED:
                raise OptionError(f"option '--{option.long}' requires an argument")
            options.append(Given(option, value, source))
        elif word.startswith("-") and word != "-":
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                found = shorts.get(letter)
                if found is None:
                    raise OptionError(f"invalid option -- '{letter}'")
                value = None
                if found.argument is not Argument.NONE:
                    value, letters = letters or None, ""
                    if value is None and _takes_next(found, argv, position):
                        value = argv[position]
                        position += 1
                    if value is None and found.argument is Argument.REQUIRED:
                        raise OptionError(f"option requires an argument -- '{letter}'")
                options.append(Given(found, value, source))
        elif stop_at_word:
            words.extend(argv[position - 1 :])
            break
        else:
            words.append(word)
    return Parsed(tuple(options), tuple(words))


def _takes_next(option: Option, argv: Sequence[str], position: int) -> bool:
    if position >= len(argv):
        return False
    if option.argument is Argument.REQUIRED:
        return True
    return option.argument is Argument.AHEAD and not argv[position].startswith("-")


def _long(word: str, table: Sequence[Option]) -> tuple[Option, str | None]:
    name, equals, value = word[2:].partition("=")
    exact = [option for option in table if option.long == name]
    candidates = exact or [option for option in table if option.long.startswith(name)]
    if not candidates:
        raise OptionError(f"unrecognized option '{word}'")
    first = candidates[0]
    # Like glibc 2.36: spellings of the same option are no ambiguity and are not listed.
    others = [option for option in candidates[1:] if option.name != first.name]
    if others:
        names = " ".join(f"'--{option.long}'" for option in (first, *others))
        raise OptionError(f"option '{word}' is ambiguous; possibilities: {names}")
    if equals and first.argument is Argument.NONE:
        raise OptionError(f"option '--{first.long}' doesn't allow an argument")
    return first, value if equals else None
