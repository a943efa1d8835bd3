"""scontrol: single jobs, partitions and nodes in full, and what a user may do with his own waiting jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, NotFound, Refused
from airavata_mesos_plugin.jobs import Hold, JobPhase, JobRecord
from airavata_mesos_plugin.slurm import scontrol_show, scontrol_update, selecting, view
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.selecting import JobName
from airavata_mesos_plugin.slurm.session import (
    VERSION_TEXT,
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
    SavedFile,
    about,
)

SCONTROL_OPTIONS: tuple[Option, ...] = (
    Option("all", "a", ignored="all is shown"),
    Option("cluster", "M", Argument.REQUIRED, ignored="there is one cluster"),
    Option("clusters", "", Argument.REQUIRED, dest="cluster", ignored="there is one cluster"),
    Option("details", "d"),
    Option("future", "F", ignored="there are no future nodes"),
    Option("federation", ignored="there is one cluster"),
    Option("help", "h"),
    Option("hide", ignored="nothing is hidden"),
    Option("local", ignored="there is one cluster"),
    Option("oneliner", "o"),
    Option("quiet", "Q"),
    Option("sibling", ignored="there is one cluster"),
    Option("uid", "u", Argument.REQUIRED, ignored="everybody acts for himself"),
    Option("verbose", "v", ignored="there is nothing more to say"),
    Option("version", "V"),
)

USAGE = """\
Usage: scontrol [-o] COMMAND
  hold JOB..., release JOB..., uhold JOB...
  ping
  requeue JOB..., requeuehold JOB...
  show job [JOB], show partition [NAME], show node [NAME], show config
  show hostnames LIST, show hostlist NAMES
  update JobId=JOB FIELD=VALUE...
  write batch_script JOB [FILE | -]
"""

_UNKNOWN = "Invalid job id specified"
_DENIED = "Access/permission denied"


@dataclass(frozen=True)
class Call:
    """One command line of scontrol."""

    invocation: Invocation
    provider: JobProvider
    options: Parsed
    now: float


def run(invocation: Invocation, provider: JobProvider, clock: Clock) -> Result:
    """Carry out one command. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SCONTROL_OPTIONS, stop_at_word=False)
    if (told := about(options, USAGE)) is not None:
        return told
    if not options.words:
        raise CommandFailed(
            "scontrol: error: there is no command prompt here; give a command, see scontrol --help"
        )
    word, *words = options.words
    call = Call(invocation, provider, options, clock.now())
    command = _find(word, _COMMANDS)
    if command is None:
        raise CommandFailed(f"invalid keyword: {word}")
    return command(call, words)


def _find(word: str, commands: dict[str, Command]) -> Command | None:
    """The command of that name, or the only one that begins so."""
    lower = word.lower()
    if lower in commands:
        return commands[lower]
    begun = [command for name, command in commands.items() if lower and name.startswith(lower)]
    return begun[0] if len(begun) == 1 else None


Command = Callable[[Call, Sequence[str]], Result]


def _ping(call: Call, _words: Sequence[str]) -> Result:
    return Result(f"Slurmctld(primary) at {call.invocation.host or 'localhost'} is UP\n")


def _version(_call: Call, _words: Sequence[str]) -> Result:
    return Result(VERSION_TEXT)


def _show(call: Call, words: Sequence[str]) -> Result:
    entity, *rest = words or [""]
    name, equals, value = entity.partition("=")
    if equals:
        rest = [value, *rest]
    shown = call.options.has("oneliner")
    clock = scontrol_show.Frame(
        call.now, view.zone(call.invocation.environ), view.date_format(call.invocation.environ)
    )
    what = name.lower()
    if what in ("job", "jobs", "jobid"):
        return _show_jobs(call, rest, clock)
    if what in ("partition", "partitions", "partitionname"):
        return scontrol_show.partitions(call.provider, rest[0] if rest else None, one_line=shown)
    if what in ("node", "nodes", "nodename"):
        return scontrol_show.nodes(call.provider, rest[0] if rest else None, one_line=shown)
    if what in ("hostname", "hostnames"):
        return Result("".join(f"{host}\n" for text in rest for host in hostlist.expand(text)))
    if what in ("hostlist", "hostlistsorted"):
        hosts = [host for text in rest for host in hostlist.expand(text)]
        return Result(f"{hostlist.short(hosts)}\n")
    if what in ("reservation", "reservations", "res"):
        return Result("No reservations in the system\n")
    if what in ("config", "configuration"):
        return scontrol_show.config(call.provider, call.now, clock)
    raise CommandFailed(f"invalid entity:{entity} for keyword:show ")


def _show_jobs(call: Call, words: Sequence[str], frame: scontrol_show.Frame) -> Result:
    details, one_line = call.options.has("details"), call.options.has("oneliner")
    name: JobName | None = None
    if not words:
        jobs = scontrol_show.recent(call.provider, call.now)
        if not jobs:
            return Result("No jobs in the system\n")
    else:
        name = selecting.job_name(words[0])
        if name is None or name.step:
            if words[0].isdigit() and words[0].strip("0"):
                raise CommandFailed(f"slurm_load_jobs error: {_UNKNOWN}")
            raise CommandFailed(f"scontrol_print_job error: {_UNKNOWN}")
        jobs = selecting.find(call.provider, [name])
        if not jobs:
            raise CommandFailed(f"slurm_load_jobs error: {_UNKNOWN}")
        # As in SLURM the task that has the array's id comes first.
        jobs.sort(key=lambda job: (job.id != name.id, -job.id))
    single = bool(words) and name is not None and name.indexes is not None
    records = scontrol_show.jobs(jobs, frame, details=details, one_line=one_line, single=single)
    return Result("".join(records))


def _write(call: Call, words: Sequence[str]) -> Result:
    if len(words) < 2 or words[0].lower() not in ("batch_script", "batch"):
        raise CommandFailed(f"invalid entity:{words[0] if words else ''} for keyword:write ")
    name = selecting.job_name(words[1])
    jobs = selecting.find(call.provider, [name]) if name is not None and not name.step else []
    if not jobs:
        return Result("", f"job script retrieval failed: {_UNKNOWN}\n")
    job = next((job for job in jobs if name is not None and job.id == name.id), jobs[0])
    if call.invocation.uid not in (0, job.request.uid):
        return Result("", f"job script retrieval failed: {_DENIED}\n")
    script = call.provider.script(job.id)
    target = words[2] if len(words) > 2 else f"slurm-{job.id}.sh"
    if target == "-":
        return Result(script)
    return Result(f"batch script for job {job.id} written to {target}\n", then=SavedFile(target, script))


def _each(call: Call, words: Sequence[str], act: Callable[[JobRecord], None], ending: str = "") -> Result:
    """Do something with each job that is named; ``ending`` begins the second line of a complaint."""
    lines: list[str] = []
    if not words:
        raise CommandFailed("too few arguments: give the id of a job")
    for text in (entry for word in words for entry in selecting.split(word)):
        name = selecting.job_name(text)
        jobs = [] if name is None or name.step else selecting.find(call.provider, [name])
        if name is None or name.step or not jobs:
            lines += _complaint(text, _UNKNOWN, ending)
        for job in sorted(jobs, key=lambda job: job.id):
            try:
                act(job)
            except CommandFailed as failed:
                lines += _complaint(view.label(job), str(failed), ending)
            except AiravataMesosError as error:
                lines += _complaint(view.label(job), _words_of(error, job), ending)
    text = "" if call.options.has("quiet") else "".join(f"{line}\n" for line in lines)
    return Result("", text, 1 if lines else 0)


def _complaint(job: str, text: str, ending: str) -> list[str]:
    return [f"{text} for job {job}", *([f"{ending}{text}"] if ending else [])]


def _words_of(error: AiravataMesosError, job: JobRecord) -> str:
    """SLURM's words for what the provider refused."""
    if isinstance(error, NotFound):
        return _UNKNOWN
    if isinstance(error, Refused):
        return _DENIED if job.held is Hold.ADMIN else "Invalid user id"
    if job.phase.final:
        return "Job has already finished"
    return str(error)


_SUSPEND = "slurm_suspend error: "


def _hold(call: Call, words: Sequence[str]) -> Result:
    uid = call.invocation.uid

    def act(job: JobRecord) -> None:
        # Root holds other people's jobs as their administrator.
        admin = uid == 0 and job.request.uid != 0
        call.provider.control.hold(job.id, uid, as_admin=admin)

    return _each(call, words, act, _SUSPEND)


def _user_hold(call: Call, words: Sequence[str]) -> Result:
    return _each(call, words, lambda job: call.provider.control.hold(job.id, call.invocation.uid), _SUSPEND)


def _release(call: Call, words: Sequence[str]) -> Result:
    return _each(
        call, words, lambda job: call.provider.control.release(job.id, call.invocation.uid), _SUSPEND
    )


def _requeue(call: Call, words: Sequence[str], *, hold: bool = False) -> Result:
    def act(job: JobRecord) -> None:
        if call.invocation.uid not in (0, job.request.uid):
            raise CommandFailed("Invalid user id")
        if view.word(job) == "PENDING":
            raise CommandFailed("Job is pending execution")
        if job.request.requeue is False:
            raise CommandFailed("Requested operation is presently disabled")
        try:
            call.provider.control.requeue(job.id, call.invocation.user, call.invocation.uid, hold=hold)
        except InvalidRequest as error:
            raise CommandFailed(str(error)) from error

    states = [word for word in words if "=" in word]
    if any(word.lower() not in ("state=specialexit", "incomplete") for word in states):
        raise CommandFailed(f"Bad argument: {states[0]}")
    return _each(call, [word for word in words if "=" not in word and word.lower() != "incomplete"], act)


def _requeue_hold(call: Call, words: Sequence[str]) -> Result:
    return _requeue(call, words, hold=True)


def _update(call: Call, words: Sequence[str]) -> Result:
    name, changes = scontrol_update.read(words)
    uid, zone = call.invocation.uid, view.zone(call.invocation.environ)
    return _each(
        call, [name], lambda job: scontrol_update.apply(call.provider, uid, job, changes, call.now, zone)
    )


def _denied(call: Call, words: Sequence[str]) -> Result:
    def act(job: JobRecord) -> None:
        if call.invocation.uid == 0 or job.phase is JobPhase.RUNNING:
            raise CommandFailed(_DENIED)
        raise CommandFailed("Job is no longer running" if job.phase.final else _DENIED)

    return _each(call, words, act)


def _nobody(_call: Call, _words: Sequence[str]) -> Result:
    raise CommandFailed(
        "slurm_update error: Access/permission denied",
        "scontrol: error: partitions and nodes are changed in the configuration of the provider and at Mesos",
    )


_COMMANDS: dict[str, Command] = {
    "create": _nobody,
    "delete": _nobody,
    "hold": _hold,
    "notify": _denied,
    "ping": _ping,
    "reconfigure": _nobody,
    "release": _release,
    "requeue": _requeue,
    "requeuehold": _requeue_hold,
    "resume": _denied,
    "show": _show,
    "shutdown": _nobody,
    "suspend": _denied,
    "top": _denied,
    "uhold": _user_hold,
    "update": _update,
    "version": _version,
    "write": _write,
}
