"""A wrapper of jobs whose wall time is short, and counts only from where a script is ready for its end."""

from __future__ import annotations

from pathlib import Path

from airavata_mesos_plugin import data_files

_CHANGES = (
    ("limit={{ limit_centiseconds }}", "limit={{ limit_centiseconds // 100 }}"),
    # A machine that stands still must not end a script before it has come to its point.
    (
        "        read_clock\n        if ",
        "        read_clock\n        [[ -n $ending || -e up ]] || deadline=$((now + limit))\n        if ",
    ),
    (
        "    deadline=$((now + grace))\n",
        "    [[ ! -e stubborn ]] || grace=100\n    deadline=$((now + grace))\n",
    ),
)


def hasty_templates(directory: Path) -> str:
    """A directory of templates: a minute of wall time lasts 0.6 s, from when the script made the file `up`.

    A script that has made the file `stubborn` has a second to end, instead of the grace time of its queue.
    """
    text = (data_files.directory("templates") / "wrapper" / "run.sh.j2").read_text()
    for old, new in _CHANGES:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    override = directory / "templates" / "wrapper" / "run.sh.j2"
    override.parent.mkdir(parents=True)
    override.write_text(text)
    return str(directory / "templates")
