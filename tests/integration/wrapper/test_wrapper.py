"""The rendered wrapper under real bash: ends, signals, output files, environment, repeats, hostile values."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airavata_mesos_plugin.airavata.status_lines import silence
from airavata_mesos_plugin.config import ProviderSettings, embedded_settings
from airavata_mesos_plugin.jobs import JobKey, JobPhase, JobRecord, JobRequest, Resources
from airavata_mesos_plugin.sandbox.inputs.relocation import relocate
from airavata_mesos_plugin.sandbox.result import WrapperResult, parse
from airavata_mesos_plugin.templating import TemplateLibrary, wrapper_context
from tests.support.waiting import quick_once, wait_for

SETTINGS: ProviderSettings = embedded_settings()
TOKEN = "@SANDBOX-0123456789abcdef@"  # noqa: S105 - no secret
WORKDIR = "/scratch/PROCESS_1"
LIBRARY = TemplateLibrary()
DEADLINE = 60.0
"""Seconds after which a test hangs."""

LIMITS = (0.5, 2.0, 8.0, 30.0)
"""Wall times in seconds: the first that lets a script come to its point, however slow the machine is."""

STARTED: list[subprocess.Popen[bytes]] = []
NODE = os.uname().nodename.split(".")[0]


class Sandbox:
    """A sandbox as an agent has it after the inputs were unpacked."""

    def __init__(
        self,
        path: Path,
        script: str,
        *,
        limit: float = 60,
        grace: float = 20,
        record: JobRecord | None = None,
        **request: Any,
    ) -> None:
        values: dict[str, Any] = {
            "name": "wave",
            "user": "alice",
            "uid": 5001,
            "queue": "default",
            "working_directory": WORKDIR,
            "resources": Resources(cpus=2, memory_mb=1000, disk_mb=100),
            "wall_time_seconds": 60,
            **request,
        }
        self.record = record or JobRecord(
            id=519,
            request=JobRequest(**values),
            phase=JobPhase.RUNNING,
            cluster="embedded",
            key=JobKey("airavata", "prod", "mesos-519-1"),
            attempt=1,
            run=0,
            accepted_at=0,
            changed_at=0,
        )
        context = replace(
            wrapper_context(self.record, SETTINGS.queues[0], SETTINGS, TOKEN),
            limit_centiseconds=round(limit * 100),
            grace_centiseconds=round(grace * 100),
        )
        self.path = path
        self.control = path / ".airavata-mesos"
        self.control.mkdir(parents=True)
        (self.control / "run.sh").write_text(LIBRARY.render_wrapper(context), encoding="utf-8")
        moved = relocate(script, [values["working_directory"]], TOKEN)
        (self.control / "script").write_bytes(moved.encode())

    def start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            ["/bin/bash", "-c", "exec /bin/bash .airavata-mesos/run.sh"],
            cwd=self.path,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        STARTED.append(process)
        return process

    def run(self) -> int:
        process = self.start()
        log = process.communicate(timeout=DEADLINE)[0]
        (self.control / "thermos.log").write_bytes(log)
        return process.returncode

    @property
    def result(self) -> WrapperResult:
        result = parse((self.control / "result").read_bytes())
        assert result is not None
        return result

    def text(self, name: str = "slurm-519.out") -> str:
        return (self.path / name).read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """A test that fails half-way leaves no wrapper behind."""
    yield
    for process in STARTED:
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
    STARTED.clear()


def eventually(condition: Callable[[], bool]) -> None:
    wait_for(condition, bool, "so", pause=0.01)


def run_to_its_limit(path: Path, script: str, code: int, limits: tuple[float, ...] = LIMITS) -> Sandbox:
    """A sandbox whose script had made the file ``up`` when its wall time, the first of those, was over.

    ``code`` is what its wrapper must exit with.
    """
    for limit in limits:
        sandbox = Sandbox(path / f"{limit:g}", script, limit=limit)
        begin = time.monotonic()
        ended_with = sandbox.run()
        if (sandbox.path / "up").exists():
            assert ended_with == code
            assert time.monotonic() - begin > limit - 0.1
            return sandbox
    raise AssertionError(f"the script never came to its point: {sandbox.text()}")


def finish(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=DEADLINE)
    return process.returncode


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


# How a script ends


@pytest.mark.parametrize(
    ("commands", "code", "killer"),
    [
        ("exit 0", 0, None),
        ("exit 3", 3, None),
        ("exit 124", 124, None),
        ("exit 137", 137, None),
        ("exit 143", 143, None),
        ("exit 255", 255, None),
        ("false", 1, None),
        ("nosuchcommand", 127, None),
        ("kill -KILL $$", 137, 9),
        ("kill -TERM $$", 143, 15),
        ("kill -INT $$", 130, 2),
        ("kill -PIPE $$", 141, 13),
        ("kill -SEGV $$", 139, 11),
        ("bash -c 'kill -KILL $$'", 137, None),  # a child died, the script ended with 137 itself
        ("sleep 0.3; exit 130", 130, None),
        ("sleep 0.3; kill -KILL $$", 137, 9),
    ],
)
def test_the_end_of_the_script_is_told_exactly(
    tmp_path: Path, commands: str, code: int, killer: int | None
) -> None:
    sandbox = Sandbox(tmp_path, f"#!/bin/bash\nulimit -c 0\n{commands}\n")
    before = time.time()
    assert sandbox.run() == code
    result = sandbox.result
    assert (result.exit_code, result.signal, result.timed_out) == (code, killer, False)
    assert before - 1 < result.started_at <= result.ended_at < time.time() + 1


def test_quick_scripts_are_noticed_at_once(tmp_path: Path) -> None:
    numbers = iter(range(100))
    for _ in range(3):
        quick_once(lambda: Sandbox(tmp_path / str(next(numbers)), "#!/bin/sh\nexit 7").run(), 2)


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("#!/no/such/shell\necho hi\n", 2, "bad interpreter(/no/such/shell): No such file or directory"),
        ("#!/etc/passwd\n", 13, "bad interpreter(/etc/passwd): Permission denied"),
        ("#!/tmp\n", 13, "bad interpreter(/tmp): Permission denied"),
        ("#!\n", 8, "Exec format error"),
        ("echo hi\n", 8, "Exec format error"),
        ("", 8, "Exec format error"),
    ],
)
def test_a_script_that_cannot_start_says_why(tmp_path: Path, script: str, code: int, message: str) -> None:
    sandbox = Sandbox(tmp_path, script)
    assert sandbox.run() == code
    assert (sandbox.result.exit_code, sandbox.result.signal) == (code, None)
    assert sandbox.text().startswith(f"slurmstepd-{NODE}: error: execve(): ")
    assert message in sandbox.text()


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:])\n", "['a b', '', '$(id)']\n"),
        ('#! /bin/bash\nprintf "[%s]" "$@"', "[a b][][$(id)]"),
        ('#!/bin/bash -e  \nprintf "<%s>" "$-"; false; echo no', None),
        ("#!\t/bin/sh\ncat\necho end", "end\n"),
        ("#!/bin/bash\necho 'no newline at the end'", "no newline at the end\n"),
    ],
)
def test_interpreter_arguments_and_input(tmp_path: Path, script: str, out: str | None) -> None:
    sandbox = Sandbox(tmp_path, script, script_arguments=("a b", "", "$(id)"))
    code = sandbox.run()
    if out is None:
        assert code == 1
        assert "e" in sandbox.text()
        assert "no" not in sandbox.text()
    else:
        assert code == 0
        assert sandbox.text() == out


def test_signals_have_their_usual_effect_in_the_script(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\nexec grep SigIgn /proc/self/status\n")
    sandbox.run()
    # Signals 32 and 33 belong to the C library and come as whoever started the tests has them.
    standard = (1 << 31) - 1
    assert int(sandbox.text().split()[1], 16) & standard == 0


# Wall time and kill


def test_wall_time_ends_the_whole_group(tmp_path: Path) -> None:
    script = "#!/bin/bash\necho started\nsleep 600 & echo $! >child\n: >up\nsleep 600\necho not reached\n"
    sandbox = run_to_its_limit(tmp_path, script, 143)
    assert (sandbox.result.exit_code, sandbox.result.signal, sandbox.result.timed_out) == (143, 15, True)
    assert re.fullmatch(
        rf"started\nslurmstepd-{NODE}: error: \*\*\* JOB 519 ON {NODE} CANCELLED AT "
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d DUE TO TIME LIMIT \*\*\*\n",
        sandbox.text(),
    )
    assert not alive(int(sandbox.text("child")))


def test_a_script_that_ignores_term_is_killed_after_the_grace(tmp_path: Path) -> None:
    script = "#!/bin/bash\ntrap 'echo asked' TERM\nwhile :; do sleep 0.1; done 2>/dev/null\n"
    for limit, grace in ((0.3, 1), (2, 5), (8, 20)):  # a slow machine needs more to answer within the grace
        sandbox = Sandbox(tmp_path / f"{limit}", script, limit=limit, grace=grace)
        begin = time.monotonic()
        code = sandbox.run()
        took = time.monotonic() - begin
        if "asked" in sandbox.text():
            break
    assert code == 137
    assert took > limit + grace - 0.1
    assert (sandbox.result.signal, sandbox.result.timed_out) == (9, True)
    assert sandbox.text().count("asked") == 1  # a second TERM would mean impatience


def test_a_script_that_cleans_up_keeps_its_own_code(tmp_path: Path) -> None:
    script = "#!/bin/bash\ntrap 'echo bye; exit 0' TERM\n: >up\nsleep 600 &\nwait\n"
    sandbox = run_to_its_limit(tmp_path, script, 0)
    assert (sandbox.result.exit_code, sandbox.result.signal, sandbox.result.timed_out) == (0, None, True)
    assert sandbox.text().endswith("DUE TO TIME LIMIT ***\nbye\n")


def test_the_application_has_the_grace_too_when_its_parent_is_gone(tmp_path: Path) -> None:
    application = "trap 'sleep 0.5; echo checkpoint >saved; exit' TERM; : >up; sleep 600 & wait"
    # Python dies of TERM at once; bash would wait for its child.
    script = f'#!/usr/bin/env python3\nimport subprocess\nsubprocess.call(["bash", "-c", {application!r}])\n'
    sandbox = run_to_its_limit(tmp_path, script, 143)
    assert sandbox.text("saved") == "checkpoint\n"


def test_a_stopped_process_is_woken_to_end(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\nkill -STOP $$\n", limit=0.3)
    assert sandbox.run() == 143


def test_term_is_passed_on(tmp_path: Path) -> None:
    script = "#!/bin/bash\ntrap 'echo got it; exit 3' TERM\ntouch up\nsleep 600 &\nwait\n"
    sandbox = Sandbox(tmp_path, script)
    process = sandbox.start()
    eventually((tmp_path / "up").exists)
    process.terminate()
    assert finish(process) == 3
    assert (sandbox.result.exit_code, sandbox.result.timed_out) == (3, False)
    lines = sandbox.text().splitlines()
    assert re.search(r"\*\*\* JOB 519 ON \S+ CANCELLED AT [-\dT:]+ \*\*\*$", lines[0])
    assert lines[1] == "got it"


def test_a_script_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """An executor that is gone: to the scheduler the job is lost, and may begin again elsewhere."""
    sandbox = Sandbox(tmp_path, "#!/bin/bash\n: >up\nsleep 600\n")
    starter = f"/bin/bash {sandbox.control}/run.sh & echo $! >wrapper; exec sleep 600"
    executor = subprocess.Popen(["/bin/sh", "-c", starter], cwd=tmp_path)
    STARTED.append(executor)
    eventually((tmp_path / "up").exists)
    executor.kill()
    eventually((sandbox.control / "result").exists)
    assert (sandbox.result.exit_code, sandbox.result.signal) == (143, 15)
    wrapper = int(sandbox.text("wrapper"))
    eventually(lambda: not alive(wrapper))


def test_term_to_everybody_at_once(tmp_path: Path) -> None:
    """Some runners signal each process of the tree: the wrapper must not lose its clock by that."""
    script = "#!/bin/bash\ntrap 'echo asked' TERM\ntouch up\nwhile :; do sleep 0.1; done 2>/dev/null\n"
    sandbox = Sandbox(tmp_path, script, grace=0.5)
    process = sandbox.start()
    eventually((tmp_path / "up").exists)
    os.killpg(process.pid, signal.SIGTERM)
    assert finish(process) == 137
    assert sandbox.result.signal == 9


def test_term_during_a_long_run_is_prompt(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\ntouch up\nsleep 600\n", limit=600)
    wrapper = sandbox.control / "run.sh"
    text = wrapper.read_text(encoding="utf-8")
    line = '        pause "$rest"\n'
    assert text.count(line) == 1
    # As a job has it that has run for long; the deadline of this test is far shorter.
    wrapper.write_text(
        text.replace(line, f"        [[ -n $ending ]] || rest=60000\n{line}"), encoding="utf-8"
    )
    process = sandbox.start()
    eventually((tmp_path / "up").exists)
    process.terminate()
    assert finish(process) == 143
    assert sandbox.result.signal == 15


# Nothing stays behind


def test_children_in_the_background_are_killed_at_the_end(tmp_path: Path) -> None:
    script = (
        "#!/bin/bash\nsleep 600 & echo $! >inside\n"
        "setsid bash -c 'echo $$ >outside; exec sleep 600' &\n"
        "until [[ -s outside ]]; do sleep 0.01; done\nexit 4\n"
    )
    sandbox = Sandbox(tmp_path, script)
    assert sandbox.run() == 4
    for name in ("inside", "outside"):
        assert not alive(int(sandbox.text(name))), name


def test_no_watchdog_stays(tmp_path: Path) -> None:
    process = Sandbox(tmp_path, "#!/bin/bash\nsleep 0.2\n").start()
    assert finish(process) == 0
    # Whoever takes over an orphan collects it a moment later.
    eventually(lambda: not group_exists(process.pid))


def group_exists(pid: int) -> bool:
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_other_processes_are_left_alone(tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        Sandbox(tmp_path, "#!/bin/bash\nsleep 600 &\n").run()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


# A second run


def test_a_second_run_does_not_run_the_script_again(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\necho once >>count\nexit 5\n")
    assert sandbox.run() == 5
    first = sandbox.result
    assert sandbox.run() == 5
    assert sandbox.text("count") == "once\n"
    assert sandbox.result == first


def test_a_run_after_a_killed_wrapper_ends_what_is_left(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\necho $$ >pid\nsleep 600\n")
    process = sandbox.start()
    eventually(lambda: (tmp_path / "pid").exists() and sandbox.text("pid") != "")
    pid = int(sandbox.text("pid"))
    os.killpg(process.pid, signal.SIGKILL)
    finish(process)
    assert alive(pid)
    assert sandbox.run() == 137
    assert (sandbox.result.exit_code, sandbox.result.signal) == (137, None)
    assert 0 < sandbox.result.started_at <= sandbox.result.ended_at
    assert not alive(pid)


# Output files


@pytest.mark.parametrize(
    "name",
    [
        "plain.out",
        "two words.out",
        "quo\"te's.out",
        "new\nline.out",
        "$(touch injected).out",
        "`touch injected`.out",
        "-n",
        "a;touch injected;.out",
        "été.out",
        "deep/er/x.out",
        " ",
        "\n",
        "*",
        "a\\\\b",
    ],
)
def test_output_names_are_only_names(tmp_path: Path, name: str) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\necho out\necho err >&2\n", stdout=name, stderr=f"{name}.err")
    assert sandbox.run() == 0
    written = name.replace("\\\\", "\\")
    assert sandbox.text(written) == "out\n"
    assert sandbox.text(f"{written}.err") == "err\n"
    assert not (tmp_path / "injected").exists()


def test_one_file_for_both_keeps_the_order(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\necho 1\necho 2 >&2\necho 3\n", stdout="both", stderr="both")
    sandbox.run()
    assert sandbox.text("both") == "1\n2\n3\n"


def test_files_exist_even_when_nothing_is_written_and_old_text_goes(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\n:\n", stdout="o", stderr="%x-%j-%N-%%N.err")
    (tmp_path / "o").write_text("from an earlier job", encoding="utf-8")
    sandbox.run()
    assert sandbox.text("o") == ""
    assert sandbox.text(f"wave-519-{NODE}-%N.err") == ""


def test_dev_null(tmp_path: Path) -> None:
    sandbox = Sandbox(
        tmp_path, "#!/bin/bash\necho out\nsleep 600\n", stdout="/dev/null", stderr="e", limit=0.2
    )
    sandbox.run()
    assert "DUE TO TIME LIMIT" in sandbox.text("e")
    assert not (tmp_path / "dev").exists()


def test_an_output_that_cannot_be_opened_fails_the_job(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "#!/bin/bash\ntouch ran\n", stdout="folder")
    (tmp_path / "folder").mkdir()
    assert sandbox.run() == 53
    assert sandbox.result.exit_code == 53
    assert not (tmp_path / "ran").exists()
    assert "cannot open the output files of job 519" in (sandbox.control / "thermos.log").read_text("utf-8")


# The directory


@pytest.mark.parametrize(
    "folder",
    ["plain", "two words", "quote's", "$(touch injected)", "new\nline", "semi;colon", "été", "back\\slash&"],
)
def test_the_script_finds_itself_in_the_working_directory(tmp_path: Path, folder: str) -> None:
    script = (
        f"#!/bin/bash\ncd {WORKDIR}\ncat input >copy\ncd /\ncd $SLURM_SUBMIT_DIR && echo here >>copy\n"
        f"ls {WORKDIR}/input >/dev/null && echo path={WORKDIR}/bin:/usr/bin\n"
    )
    path = tmp_path / folder
    sandbox = Sandbox(path, script)
    (path / "input").write_text("data\n", encoding="utf-8")
    assert sandbox.run() == 0
    assert (path / "copy").read_text("utf-8") == "data\nhere\n"
    assert re.fullmatch(r"path=/[A-Za-z0-9_@+./-]+/bin:/usr/bin\n", sandbox.text())
    links = Path("/tmp").glob("airavata-mesos.*/job")
    assert [link for link in links if link.is_symlink() and link.readlink() == path] == []
    assert not list(tmp_path.rglob("injected"))


def test_a_working_directory_with_blanks(tmp_path: Path) -> None:
    directory = "/scratch/my jobs/run 1"
    script = f"#!/bin/bash\ncd '{directory}'\ncd /scratch/my\\ jobs/run\\ 1\necho ok >mark\n"
    sandbox = Sandbox(tmp_path, script, working_directory=directory)
    assert sandbox.run() == 0
    assert sandbox.text("mark") == "ok\n"


def test_a_large_script(tmp_path: Path) -> None:
    line = f"# {'x' * 40} {WORKDIR}/data\n"
    script = "#!/bin/bash\n" + line * (1_000_000 // len(line)) + f"ls -d {WORKDIR}"
    sandbox = Sandbox(tmp_path, script)
    assert sandbox.run() == 0
    assert sandbox.text() == f"{tmp_path}\n"
    copy = (sandbox.control / "slurm_script").read_text(encoding="utf-8")
    assert copy == script.replace(WORKDIR, str(tmp_path))


def test_bytes_of_the_script_stay_as_they_are(tmp_path: Path) -> None:
    script = "#!/bin/bash\n# \tété & \\1 %s ${x//a/b}  \n\nprintf '%s' \"é\"\n\n\n"
    sandbox = Sandbox(tmp_path, script)
    sandbox.run()
    assert (sandbox.control / "slurm_script").read_bytes() == script.encode()
    assert sandbox.text() == "é"


# Environment and hostile values


def test_environment(tmp_path: Path) -> None:
    sandbox = Sandbox(
        tmp_path,
        "#!/bin/bash\nenv -0 >vars\necho $$ $SLURM_TASK_PID\n",
        account="chem",
        tasks=2,
        tasks_given=True,
        memory_given=True,
        submit_host="login1",
    )
    sandbox.run()
    pairs = (item.partition("=") for item in sandbox.text("vars").split("\0") if item)
    variables = {name: value for name, _, value in pairs}
    expected = {
        "ENVIRONMENT": "BATCH",
        "HOSTNAME": NODE,
        "SLURMD_NODENAME": NODE,
        "SLURM_JOB_NODELIST": NODE,
        "SLURM_NODELIST": NODE,
        "SLURM_SUBMIT_DIR": str(tmp_path),
        "SLURM_SUBMIT_HOST": "login1",
        "SLURM_JOB_ID": "519",
        "SLURM_JOB_NAME": "wave",
        "SLURM_NTASKS": "2",
        "SLURM_MEM_PER_NODE": "1000",
        "SLURM_JOB_ACCOUNT": "chem",
        "PWD": str(tmp_path),
    }
    assert {name: variables.get(name) for name in expected} == expected
    assert "SLURM_MEM_PER_CPU" not in variables
    assert variables["TMPDIR"]
    own, told = sandbox.text().split()
    assert own == told


HOSTILE = [
    "$(touch injected)",
    "`touch injected`",
    "'; touch injected; '",
    '"; touch injected; "',
    "\n touch injected\n",
    "${IFS}; touch injected #",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "x'$(touch injected)'\\",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_nothing_that_a_user_writes_is_executed(tmp_path: Path, value: str) -> None:
    sandbox = Sandbox(
        tmp_path,
        '#!/bin/bash\nprintf \'%s\\0\' "$SLURM_JOB_NAME" "$SLURM_JOB_ACCOUNT" "$1" >values\n',
        name=value,
        user=value,
        account=value,
        qos=value,
        reservation=value,
        comment=value,
        submit_host=value,
        script_arguments=(value,),
        stdout=value,
        stderr=f"%x {value}",
    )
    assert sandbox.run() == 0
    assert sandbox.text("values") == f"{value}\0" * 3
    assert not list(tmp_path.rglob("injected"))


# Airavata's own lines


def test_status_calls_are_silent_and_do_not_hide_the_exit_code(tmp_path: Path) -> None:
    def call(status: str) -> str:
        return (
            'curl -X POST -H "Content-Type: application/vnd.kafka.json.v2+json" -H "Accept: '
            'application/vnd.kafka.v2+json" --data \'{"records":[{"value":{"jobName":"A1", "status":"'
            f'{status}", "task":"TASK_1"}}}}]}}\' "http://127.0.0.1:1/topics/x" > /dev/null || true\n'
        )

    script = f"#!/bin/bash\ncd {WORKDIR}\n{call('RUNNING')}sh -c 'exit 3'\n{call('COMPLETED')}"
    assert Sandbox(tmp_path / "loud", script).run() == 0
    quiet = Sandbox(tmp_path / "quiet", silence(script).script)
    assert quiet.run() == 3
    assert quiet.text() == ""
