"""What comes back into the working directory, and what must not."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.contract.airavata_script import JobScript
from tests.support.processes import peak_memory
from tests.support.site import Site

MEMORY_LIMIT = 200 * 1024 * 1024
"""The daemon's whole memory at its highest; a file that is held in memory would go far beyond."""

NAMES = (
    "with blank",
    "tab\there",
    "line\nbreak",
    "quote'\"s",
    "$HOME `id` \\",
    "-rf",
    "ünï©ode ☃",
    "*?[x]",
    "%2F&+=;#",
)


@pytest.mark.parametrize("folder", ["", "deep/er/"])
def test_names_of_outputs_stay_as_they_are(site: Site, folder: str) -> None:
    work = site.work()
    names = [folder + name for name in NAMES]
    (work / "names").write_bytes(b"".join(name.encode() + b"\0" for name in names))
    site.run(
        'mkdir -p deep/er; while IFS= read -r -d "" n; do printf %s "$n" > "./$n"; done < names',
        directory=work,
    )
    found = {str(path.relative_to(work)): path.read_text() for path in work.rglob("*") if path.is_file()}
    assert {name: found.get(name) for name in names} == {name: name for name in names}


def test_names_of_inputs_stay_as_they_are(site: Site) -> None:
    work = site.work()
    for name in NAMES:
        (work / name).write_text(f"content of {name}")
    site.run('for f in ./*; do [ "$f" = ./sums ] || sha256sum < "$f" >> sums; done', directory=work)
    sums = {line.split()[0] for line in (work / "sums").read_text().splitlines()}
    for name in NAMES:
        assert hashlib.sha256(f"content of {name}".encode()).hexdigest() in sums, name


def test_a_name_that_is_not_utf8_comes_back_or_is_named(site: Site) -> None:
    job = site.accepted(r"printf x > $(printf 'caf\351'); echo y > other")
    document = site.finished(job, "COMPLETE")
    assert (job.directory / "other").read_text() == "y\n"
    raw = os.fsencode(job.directory) + b"/caf\xe9"
    told = "\n".join(event["reason"] for event in document["events"])
    assert os.path.exists(raw) or "caf" in told  # noqa: PTH110 - bytes


def test_relative_outputs_in_new_and_old_folders_come_back(site: Site) -> None:
    work = site.work()
    (work / "old").mkdir()
    site.run("mkdir -p new/er empty; echo 1 > old/a; echo 2 > new/er/b; echo 3 > ./c", directory=work)
    assert (work / "old/a").read_text() == "1\n"
    assert (work / "new/er/b").read_text() == "2\n"
    assert (work / "c").read_text() == "3\n"
    assert (work / "empty").is_dir()


def test_an_empty_output_comes_back_empty(site: Site) -> None:
    work = site.run(": > nothing")
    assert (work / "nothing").stat().st_size == 0
    assert (work / "App.stdout").stat().st_size == 0


def test_outputs_named_by_their_absolute_path_come_back(site: Site) -> None:
    work = site.work()
    site.run(f"echo here > {work}/absolute.txt; echo more >> '{work}/absolute.txt'", directory=work)
    assert (work / "absolute.txt").read_text() == "here\nmore\n"


def test_changed_inputs_come_back_and_others_are_not_touched(site: Site) -> None:
    work = site.work()
    for name in ("same", "changed", "touched"):
        (work / name).write_text("before\n")
        os.utime(work / name, (1_600_000_000, 1_600_000_000))
    before = {name: (work / name).stat() for name in ("same", "changed")}
    site.run("cat same; echo after > changed; chmod 600 same", directory=work)

    assert (work / "changed").read_text() == "after\n"
    same = (work / "same").stat()
    assert (same.st_ino, same.st_mtime_ns) == (before["same"].st_ino, before["same"].st_mtime_ns)
    assert same.st_ctime_ns == before["same"].st_ctime_ns
    assert (work / "App.stdout").read_text() == "before\n"


def test_a_reader_of_a_changed_input_keeps_a_whole_file(site: Site) -> None:
    """Files are replaced, never written over."""
    work = site.work()
    (work / "data").write_text("old " * 1000)
    with (work / "data").open() as reader:
        site.run("echo new > data", directory=work)
        assert reader.read() == "old " * 1000
    assert (work / "data").read_text() == "new\n"


def test_an_input_that_the_job_deletes_stays(site: Site) -> None:
    work = site.work()
    (work / "input").write_text("precious\n")
    site.run("rm input", directory=work)
    assert (work / "input").read_text() == "precious\n"


def test_executable_outputs_stay_executable(site: Site) -> None:
    work = site.run("printf '#!/bin/sh\\n' > tool; chmod 755 tool; echo x > plain; chmod 640 plain")
    assert (work / "tool").stat().st_mode & 0o777 == 0o755
    assert (work / "plain").stat().st_mode & 0o777 == 0o640


def test_links_never_lead_out_of_the_working_directory(site: Site) -> None:
    outside = site.directory / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "target").write_text("untouched\n")
    work = site.work()
    # The link is made by the user here while the job runs: the sandbox cannot make it.
    go = site.directory / "links-go"
    job = site.accepted(f"mkdir sub; echo bad > sub/target; while [ ! -e {go} ]; do sleep 0.1; done", work)
    site.in_phase(job, "running")
    (work / "sub").symlink_to(outside)
    go.touch()
    document = site.finished(job, "COMPLETE")
    assert (outside / "target").read_text() == "untouched\n"
    assert sorted(path.name for path in outside.iterdir()) == ["target"]
    assert "left out" in document["reason"]
    assert any("sub/target" in event["reason"] for event in document["events"])


def test_links_that_a_job_makes_bring_nothing_in_from_outside(site: Site) -> None:
    secret = site.directory / "secret.txt"
    secret.write_text("secret\n")
    work = site.run(
        f"ln -s {site.directory} shadow; ln -s {secret} stolen; ln -s result alias; echo r > result"
    )
    assert (work / "result").read_text() == "r\n"
    assert not (work / "stolen").exists()
    assert list((work / "shadow").glob("*")) == []


def test_ten_thousand_small_outputs_come_back(site: Site) -> None:
    count = 10_000
    body = f"mkdir out; i=0; while [ $i -lt {count} ]; do echo $i > out/$i; i=$((i+1)); done"
    work = site.run(body)
    assert len(list((work / "out").iterdir())) == count
    assert all((work / "out" / str(number)).read_text() == f"{number}\n" for number in range(count))


def test_an_output_of_two_gigabytes_is_streamed(site: Site) -> None:
    size = 2 * 1024**3
    work = site.run(
        f"truncate -s {size} huge; printf end | dd of=huge bs=1 seek={size - 3} conv=notrunc status=none"
    )
    huge = work / "huge"
    try:
        assert huge.stat().st_size == size
        with huge.open("rb") as stream:
            assert stream.read(4) == b"\0\0\0\0"
            stream.seek(-4, os.SEEK_END)
            assert stream.read() == b"\0end"
        peak = peak_memory(site.daemon.pid)
        assert peak < MEMORY_LIMIT, f"{peak / 1024**2:.0f} MiB"
    finally:
        huge.unlink()


def test_without_o_and_e_both_streams_are_in_one_file_named_by_the_id(site: Site) -> None:
    job = site.accepted(JobScript(site.work(), "echo out; echo err >&2", application=None))
    site.finished(job, "COMPLETE")
    assert (job.directory / f"slurm-{job.job_id}.out").read_text() == "out\nerr\n"


def test_with_e_alone_stderr_is_apart(site: Site) -> None:
    script = JobScript(
        site.work(), "echo out; echo err >&2", application=None, directives=("#SBATCH -e my.err",)
    )
    job = site.accepted(script)
    site.finished(job, "COMPLETE")
    assert (job.directory / f"slurm-{job.job_id}.out").read_text() == "out\n"
    assert (job.directory / "my.err").read_text() == "err\n"


def test_relative_names_with_folders_and_patterns(site: Site) -> None:
    script = JobScript(
        site.work(),
        "echo out; echo err >&2",
        application=None,
        directives=("#SBATCH -o logs/%x-%j.out", "#SBATCH --error=logs/%j.err"),
    )
    job = site.accepted(script)
    site.finished(job, "COMPLETE")
    logs = job.directory / "logs"
    assert (logs / f"{job.job_name}-{job.job_id}.out").read_text() == "out\n"
    assert (logs / f"{job.job_id}.err").read_text() == "err\n"


@pytest.mark.parametrize("option", ["-o", "-e", "--output", "--error"])
@pytest.mark.parametrize("name", ["../x", "a/../../x", "/elsewhere/x", "link/x", "%x/../../../x"])
def test_output_names_that_lead_out_are_refused(site: Site, option: str, name: str) -> None:
    outside = site.directory / "not-for-jobs"
    outside.mkdir(exist_ok=True)
    work = site.work()
    (work / "link").symlink_to(outside)
    directive = f"#SBATCH {option}{'=' if option.startswith('--') else ' '}{name}"
    before = site.count()

    job = site.submit(JobScript(work, "true", application=None, directives=(directive,)))
    assert (job.job_id, job.answer.stdout) == ("", "")
    assert {"-o": "--output", "-e": "--error"}.get(option, option) in job.answer.stderr
    assert "the working directory" in job.answer.stderr
    assert "of the script" in job.answer.stderr  # which line it was
    assert "Traceback" not in job.answer.stderr
    assert site.count() == before
    assert list(outside.iterdir()) == []
    assert not (Path(work).parent / "x").exists()
