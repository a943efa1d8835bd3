"""Where directives are found and how a line is split: the cases of SLURM 22.05."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.slurm.directives import ForeignLine, UnmatchedQuote, scan, split

HEAD = "#!/bin/bash\n"


def words(body: str) -> list[str]:
    return [word.text for word in scan(HEAD + body).words]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("#SBATCH -J a\necho run\n", ["-J", "a"]),
        ("echo run\n#SBATCH -J a\n", []),
        ("\n# comment\n\n   \n#SBATCH -J a\necho run\n", ["-J", "a"]),
        ("X=1\n#SBATCH -J a\n", []),
        (":\n#SBATCH -J a\n", []),
        ("#SBATCH -J a\necho run\n#SBATCH -t 7\n", ["-J", "a"]),
        (" #SBATCH -J a\n#SBATCH -t 7\n", ["-t", "7"]),
        ("\t#SBATCH -J a\n", []),
        ("# SBATCH -J a\n#SBATCH -t 7\n", ["-t", "7"]),
        ("##SBATCH -J a\n#SBATCH -t 7\n", ["-t", "7"]),
        ("#sbatch -J a\n#SBATCH -t 7\n", ["-t", "7"]),
        ("#SBATCH-J a\n#SBATCH -t 7\n", ["-J", "a", "-t", "7"]),
        ("#SBATCH\t-J\ta\n", ["-J", "a"]),
        ("#SBATCH     -J     a    -t   7   \n", ["-J", "a", "-t", "7"]),
        ("#SBATCH\n#SBATCH -J a\n", ["-J", "a"]),
        ("#SBATCHX -J a\n", ["X", "-J", "a"]),
        ("#SBATCH -J a", ["-J", "a"]),
        ("#SBATCH -J a\n\n#SBATCH --mail-type=ALL\n\ncd /x\n", ["-J", "a", "--mail-type=ALL"]),
    ],
)
def test_where_directives_are_read(body: str, expected: list[str]) -> None:
    assert words(body) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('-J "two words"', ["-J", "two words"]),
        ("-J 'two words'", ["-J", "two words"]),
        (r"-J two\ words", ["-J", "two", "words"]),
        ('--job-name="two words"', ["--job-name=two words"]),
        ('"--job-name=two words"', ["--job-name=two words"]),
        ('-J a"b c"d', ["-J", "ab cd"]),
        ('-J "it\'s"', ["-J", "it's"]),
        (r'-J "a\"b"', ["-J", 'a"b']),
        ("-J 'a\"b'", ["-J", 'a"b']),
        (r"-J 'a\b'", ["-J", "ab"]),
        (r"-J a\nb", ["-J", "anb"]),
        (r"-J a\\b", ["-J", r"a\b"]),
        ('-J ""', ["-J"]),
        ("-J $HOME `id` ~/x", ["-J", "$HOME", "`id`", "~/x"]),
        ("-J a \\", ["-J", "a"]),
        ("-J a # the name", ["-J", "a"]),
        ("-J a#b", ["-J", "a"]),
        ('-J "a # b"', ["-J", "a # b"]),
        ("-J näme", ["-J", "näme"]),
    ],
)
def test_how_a_line_is_split(line: str, expected: list[str]) -> None:
    assert split(" " + line, 1) == expected


def test_a_quote_that_is_not_closed() -> None:
    with pytest.raises(UnmatchedQuote) as caught:
        scan(HEAD + '#SBATCH -J "abc\n')
    assert (caught.value.line, caught.value.quote, caught.value.rest) == (2, '"', '"abc')


def test_words_know_their_line() -> None:
    assert [(word.text, word.line) for word in scan(HEAD + "\n#SBATCH -J a\n").words] == [("-J", 3), ("a", 3)]


def test_lines_of_other_schedulers_are_seen() -> None:
    assert scan(HEAD + "#PBS -N x\n#SBATCH -J a\n#BSUB -J y\n:\n#PBS -q z\n").foreign == (
        ForeignLine("PBS", ("-N", "x"), 2),
        ForeignLine("BSUB", ("-J", "y"), 4),
    )


@given(st.text())
def test_any_text_is_scanned(text: str) -> None:
    try:
        found = scan("#SBATCH " + text)
    except UnmatchedQuote:
        return
    assert all(word.text for word in found.words)


@given(st.lists(st.text(st.characters(exclude_characters="\n'\\\r", exclude_categories=["Cs"]), min_size=1)))
def test_quoted_words_come_back(expected: list[str]) -> None:
    assert split("".join(f" '{word}'" for word in expected), 1) == expected
