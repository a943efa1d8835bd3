"""The submitter's environment on its way to the job: what ``--export`` of sbatch lets through.

Without ``--export`` that is all of it, as in SLURM 22.05.
"""

from __future__ import annotations

from collections.abc import Mapping

_OURS = ("AIRAVATA_MESOS_",)
_NONE = ("NONE", "NIL", "")


def collect(environ: Mapping[str, str], export: str | None) -> str:
    """The variables as ``NAME=value``, each ended by a NUL character.

    A value that is not text keeps its bytes as surrogates, as file names do. Raises ValueError for an entry
    of ``export`` that is neither a name nor ``NAME=value``.
    """
    chosen: dict[str, str] = {}
    if export is None:
        chosen = dict(environ)
    elif export.upper() not in _NONE:
        for entry in split(export):
            name, equals, value = entry.partition("=")
            if entry.upper() == "ALL":
                chosen = {**environ, **chosen}
            elif entry.upper() in _NONE:
                continue
            elif not name.replace("_", "a").isalnum() or not name.isascii() or name[0].isdigit():
                raise ValueError(f"{entry!r} is not the name of a variable")
            elif equals:
                chosen[name] = value
            elif name in environ:
                chosen[name] = environ[name]
    return "".join(
        f"{name}={value}\0"
        for name, value in chosen.items()
        if not name.startswith(_OURS) and "\0" not in name + value
    )


def split(text: str) -> list[str]:
    """The entries of a comma list; quotes of either kind keep a comma and go away themselves."""
    entries: list[str] = []
    entry: list[str] = []
    quote = ""
    for character in text:
        if quote:
            if character == quote:
                quote = ""
            else:
                entry.append(character)
        elif character in "'\"":
            quote = character
        elif character == ",":
            entries.append("".join(entry))
            entry = []
        else:
            entry.append(character)
    entries.append("".join(entry))
    return [entry for entry in entries if entry]
