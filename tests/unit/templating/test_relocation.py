"""The working directory in a script: every spelling of it, and nothing that only looks like it."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.errors import InvalidRequest
from airavata_mesos_plugin.sandbox.inputs.relocation import relocate

HERE = "/scratch/P1"
TOKEN = "@T@"  # noqa: S105 - no secret


@pytest.mark.parametrize(
    ("text", "moved"),
    [
        ("cd /scratch/P1", "cd @T@"),
        ("cd /scratch/P1\n", "cd @T@\n"),
        ("/scratch/P1", "@T@"),
        ("cd /scratch/P1/", "cd @T@/"),
        ("cd //scratch///P1//x", "cd @T@//x"),
        ("cd /./scratch/./P1/./x", "cd @T@/./x"),
        ("cat /scratch/P1/in.dat>/scratch/P1/out", "cat @T@/in.dat>@T@/out"),
        ("cd '/scratch/P1' && cd \"/scratch/P1\"", "cd '@T@' && cd \"@T@\""),
        ("A=/scratch/P1;B=/scratch/P1/b", "A=@T@;B=@T@/b"),
        ("PATH=/bin:/scratch/P1:/scratch/P1/bin:$PATH", "PATH=/bin:@T@:@T@/bin:$PATH"),
        ("--dir=/scratch/P1,/scratch/P1/x", "--dir=@T@,@T@/x"),
        ("cc -I/scratch/P1/include -L/scratch/P1 -Wl,-rpath,/scratch/P1/lib", None),
        ("(cd /scratch/P1)", "(cd @T@)"),
        ("x=$(ls /scratch/P1)", "x=$(ls @T@)"),
        ("x=`ls /scratch/P1`", "x=`ls @T@`"),
        ("cp {/scratch/P1,/tmp}/x", "cp {@T@,/tmp}/x"),
        ("tar -C/scratch/P1 -x", "tar -C@T@ -x"),
        ("echo in /scratch/P1.", "echo in @T@."),
        ("echo file:///scratch/P1/x", "echo file://@T@/x"),
        ("${x#/scratch/P1/}", "${x#@T@/}"),
        ("open('/scratch/P1').read()", "open('@T@').read()"),
        ("#SBATCH -o /scratch/P1/E.stdout", "#SBATCH -o @T@/E.stdout"),
        ("cd /scratch/P1 \\\n /scratch/P1", "cd @T@ \\\n @T@"),
        ("é=/scratch/P1", "é=@T@"),
    ],
)
def test_spellings_are_found(text: str, moved: str | None) -> None:
    assert relocate(text, [HERE], TOKEN) == (moved or text.replace(HERE, TOKEN))


@pytest.mark.parametrize(
    "text",
    [
        "/scratch/P10",
        "/scratch/P1.bak",
        "/scratch/P1..",
        "/scratch/P1-old /scratch/P1_2 /scratch/P1~ /scratch/P1+ /scratch/P1@2 /scratch/P1é",
        "/x/scratch/P1",
        "x/scratch/P1",
        "./scratch/P1 ../scratch/P1 ~/scratch/P1",
        "$HOME/scratch/P1 ${HOME}/scratch/P1 $(pwd)/scratch/P1 `pwd`/scratch/P1",
        '"$HOME"/scratch/P1',
        "/scratch/P1$N /scratch/P1${N} /scratch/P1* /scratch/P1? /scratch/P1[0-9] /scratch/P1{0,1}",
        '"/scratch/P1"0 /scratch/P1"$N"',
        "/scratch/P1\\ 2",
        "http://scratch/P1 https://scratch/P1",
        "scp x user@host:/scratch/P1/x .",
        "/scratch P1 /scratch/ P1 /SCRATCH/P1 scratch/P1",
        "s/\\/scratch\\/P1/x/",
    ],
)
def test_other_paths_stay(text: str) -> None:
    assert relocate(text, [HERE], TOKEN) == text


def test_aliases_and_nested_directories() -> None:
    text = "cd /home/a/P1; cd /scratch/P1; cd /scratch/P1/sub; cd /scratch"
    assert relocate(text, ["/scratch/P1", "/home/a/P1/"], TOKEN) == "cd @T@; cd @T@; cd @T@/sub; cd /scratch"
    assert relocate(text, ["/scratch", "/scratch/P1/sub"], TOKEN) == (
        "cd /home/a/P1; cd @T@/P1; cd @T@; cd @T@"
    )


def test_special_characters_may_be_escaped() -> None:
    directory = "/data/my jobs (1)/a+b.c$d"
    text = f"cd '{directory}'\ncd /data/my\\ jobs\\ \\(1\\)/a+b.c\\$d/x\ncd /data/my jobs (1)/a+bxc$d"
    assert relocate(text, [directory], TOKEN) == "cd '@T@'\ncd @T@/x\ncd /data/my jobs (1)/a+bxc$d"


def test_the_root_directory_is_not_replaced() -> None:
    assert relocate("ls / /bin", ["/", "//", "/./"], TOKEN) == "ls / /bin"
    assert relocate("ls /bin", [], TOKEN) == "ls /bin"


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="not an absolute directory: 'a/b'"):
        relocate("", ["a/b"], TOKEN)
    with pytest.raises(InvalidRequest, match="@T@"):
        relocate("echo @T@", [HERE], TOKEN)


def test_a_large_script_is_quick() -> None:
    text = ("# " + "/" * 200 + "x /scratch/P1x " + "é" * 50 + "\n") * 4000 + "cd /scratch/P1\n"
    assert relocate(text, [HERE], TOKEN) == text.replace("cd /scratch/P1\n", "cd @T@\n")
    assert relocate("/scratch/P1 " * 5000, [HERE], TOKEN) == "@T@ " * 5000


WORDS = st.lists(
    st.sampled_from(
        [
            "/scratch/P1",
            "//scratch/P1/x",
            "/scratch/P10",
            " ",
            "\n",
            '"',
            "'",
            ":",
            "=",
            "a",
            "/",
            ".",
            "\\",
            "$",
        ]
    ),
    max_size=12,
).map("".join)


@given(WORDS)
def test_everything_else_stays_as_it_is(text: str) -> None:
    moved = relocate(text, [HERE], TOKEN)
    # Each token stands for one spelling of the directory, so putting a spelling back gives the text.
    pattern = r"/+(?:\./+)*scratch/+P1".join(re.escape(piece) for piece in moved.split(TOKEN))
    assert re.fullmatch(pattern, text)


@given(WORDS)
def test_no_blank_separated_mention_is_left(text: str) -> None:
    moved = relocate(f"{text}\ncd /scratch/P1\n", [HERE], TOKEN)
    assert moved.endswith("\ncd @T@\n")
    assert relocate(moved.replace(TOKEN, "/elsewhere"), [HERE], TOKEN) == moved.replace(TOKEN, "/elsewhere")


@given(
    st.text(
        alphabet=st.characters(exclude_characters="/\0\n\\", exclude_categories=["Cs"]), min_size=1
    ).filter(lambda name: name not in (".", ".."))
)
def test_any_name_is_found_in_quotes(name: str) -> None:
    quoted = f"cd ''/scratch/{name}/data"
    assert relocate(f"x=/scratch/{name}/data", [f"/scratch/{name}"], "\0") == "x=\0/data"
    assert "\0" not in relocate(quoted.replace("''", "up"), [f"/scratch/{name}"], "\0")
