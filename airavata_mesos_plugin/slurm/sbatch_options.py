"""The option table of sbatch: every name of SLURM 22.05, and what becomes of each.

An option without ``ignored`` and ``refused`` is honoured. ``ignored`` options change at most where or
how well a job runs; options whose absence would change what runs are refused, with the way out.
"""

from __future__ import annotations

from airavata_mesos_plugin.slurm.options import Argument, Option

_SUBMISSION = "sbatch: error: Batch job submission failed: "
_DISABLED = f"{_SUBMISSION}Requested operation is presently disabled"

_VALUE = Argument.REQUIRED
_MAYBE = Argument.OPTIONAL

_NODES_ARE_GIVEN = "which nodes a job gets, and how they are connected, is the scheduler's choice"
_PLACING = "the scheduler places the task by itself"
_NO_TOPOLOGY = "sockets, cores and threads are not told apart here"


def _plain(long: str, short: str = "", *, environment: str = "", dest: str = "") -> Option:
    return Option(long, short, _VALUE, dest, environment)


def _flag(long: str, short: str = "", *, environment: str = "") -> Option:
    return Option(long, short, Argument.NONE, "", environment)


def _ignored(
    long: str,
    why: str,
    short: str = "",
    argument: Argument = _VALUE,
    *,
    dest: str = "",
    environment: str = "",
) -> Option:
    return Option(long, short, argument, dest, environment, ignored=why)


def _refused(
    long: str,
    advice: str,
    short: str = "",
    argument: Argument = _VALUE,
    *,
    text: str = _DISABLED,
    dest: str = "",
    environment: str = "",
) -> Option:
    return Option(
        long, short, argument, dest, environment, refused=(text, f"sbatch: error: --{long}: {advice}")
    )


_GPU = "ask for GPUs with --gpus or --gres=gpu:NUMBER and for the rest with -n, -c and --mem"
_NODE_CHOICE = "name the nodes with -w"
_BURST = "there is no burst buffer here; leave the option out"

SBATCH_OPTIONS: tuple[Option, ...] = (
    _plain("account", "A", environment="SBATCH_ACCOUNT"),
    _ignored("acctg-freq", "accounting is not sampled here", environment="SBATCH_ACCTG_FREQ"),
    _plain("array", "a", environment="SBATCH_ARRAY_INX"),
    _ignored("batch", _NODES_ARE_GIVEN),
    _refused("bb", _BURST),
    _refused("bbf", _BURST),
    _plain("begin", "b", environment="SBATCH_BEGIN"),
    _plain("chdir", "D"),
    _plain("clusters", "M", environment="SBATCH_CLUSTERS"),
    _ignored("cluster-constraint", "there is one cluster to choose from"),
    _plain("comment"),
    _plain("constraint", "C", environment="SBATCH_CONSTRAINT"),
    _refused("container", "start the container inside the script"),
    _ignored("contiguous", _NODES_ARE_GIVEN, argument=Argument.NONE),
    _ignored("core-spec", _NO_TOPOLOGY, "S"),
    _ignored("cores-per-socket", _NO_TOPOLOGY),
    _ignored("cpu-freq", "clock rates cannot be set here"),
    _refused("cpus-per-gpu", _GPU),
    _plain("cpus-per-task", "c"),
    _ignored("deadline", "jobs wait without a deadline here; -t limits the run time"),
    _ignored("delay-boot", "nodes are always up"),
    _plain("dependency", "d"),
    _ignored("distribution", _NODES_ARE_GIVEN, "m"),
    _plain("error", "e", environment="SBATCH_ERROR"),
    _plain("exclude", "x"),
    _ignored(
        "exclusive",
        "nodes are shared here; ask for CPUs with -n or -c",
        argument=_MAYBE,
        environment="SBATCH_EXCLUSIVE",
    ),
    _plain("export", environment="SBATCH_EXPORT"),
    _refused("export-file", "set the variables in the script"),
    _ignored("extra-node-info", _NO_TOPOLOGY, "B"),
    _ignored("get-user-env", "the job has the environment of sbatch", argument=_MAYBE),
    Option(
        "gid",
        argument=_VALUE,
        refused=("sbatch: error: --gid only permitted by root user",),
        refusal_exit=255,
    ),
    _refused("gpu-bind", _GPU),
    _refused("gpu-freq", _GPU),
    _plain("gpus", "G", environment="SBATCH_GPUS"),
    _plain("gpus-per-node"),
    _refused("gpus-per-socket", _GPU),
    _plain("gpus-per-task"),
    _plain("gres", environment="SBATCH_GRES"),
    _ignored("gres-flags", "a GPU is a GPU here"),
    _flag("help", "h"),
    _ignored("hint", _NO_TOPOLOGY),
    Option("hold", "H", Argument.NONE, environment="SBATCH_HOLD"),
    _flag("ignore-pbs"),
    _plain("input", "i"),
    _plain("job-name", "J", environment="SBATCH_JOB_NAME"),
    _plain("kill-on-invalid-dep"),
    _refused(
        "licenses",
        "licences are not counted here; leave the option out",
        "L",
        text=f"{_SUBMISSION}Invalid license specification",
    ),
    _plain("mail-type"),
    _plain("mail-user"),
    _ignored("mcs-label", "labels are not used here"),
    _plain("mem", environment="SBATCH_MEM_PER_NODE"),
    _ignored("mem-bind", _NO_TOPOLOGY),
    _plain("mem-per-cpu", environment="SBATCH_MEM_PER_CPU"),
    _refused("mem-per-gpu", _GPU),
    _ignored("mincpus", "the scheduler looks for a node by -n and -c"),
    _ignored("network", _NODES_ARE_GIVEN),
    _ignored("nice", "priority comes from the partition", argument=_MAYBE),
    _ignored("no-kill", _NODES_ARE_GIVEN, "k", _MAYBE),
    _flag("no-requeue", environment="SBATCH_NO_REQUEUE"),
    _refused("nodefile", _NODE_CHOICE, "F"),
    _plain("nodelist", "w"),
    _plain("nodes", "N"),
    _plain("ntasks", "n"),
    _ignored("ntasks-per-core", _NO_TOPOLOGY),
    _refused("ntasks-per-gpu", _GPU),
    _plain("ntasks-per-node"),
    _ignored("ntasks-per-socket", _NO_TOPOLOGY),
    _plain("open-mode", environment="SBATCH_OPEN_MODE"),
    _plain("output", "o", environment="SBATCH_OUTPUT"),
    _ignored("overcommit", "each task gets its CPUs", "O", Argument.NONE, environment="SBATCH_OVERCOMMIT"),
    _ignored("oversubscribe", "nodes are shared anyway", "s", Argument.NONE),
    _flag("parsable"),
    _plain("partition", "p", environment="SBATCH_PARTITION"),
    _ignored("power", "power is not managed here"),
    _ignored("prefer", _PLACING),
    _ignored("priority", "priority comes from the partition"),
    _ignored("profile", "profiles are not taken here", environment="SBATCH_PROFILE"),
    _ignored("propagate", "limits are those of the node", argument=_MAYBE),
    _plain("qos", "q", environment="SBATCH_QOS"),
    _flag("quiet", "Q"),
    _refused(
        "reboot",
        "nodes cannot be rebooted from here",
        argument=Argument.NONE,
        text="sbatch: error: rebooting of nodes is only allowed for admins",
    ),
    _flag("requeue", environment="SBATCH_REQUEUE"),
    _plain("reservation", environment="SBATCH_RESERVATION"),
    _ignored("share", "nodes are shared anyway", argument=Argument.NONE, dest="oversubscribe"),
    _refused(
        "signal",
        "no signal is sent before the end; trap TERM, which comes at the time limit",
        environment="SBATCH_SIGNAL",
    ),
    _ignored("sockets-per-node", _NO_TOPOLOGY),
    _ignored("spread-job", _NODES_ARE_GIVEN, argument=Argument.NONE),
    _ignored("switches", _NODES_ARE_GIVEN),
    _plain("tasks", dest="ntasks-per-node"),
    _plain("tasks-per-node", dest="ntasks-per-node"),
    _flag("test-only"),
    _ignored("thread-spec", _NO_TOPOLOGY),
    _ignored("threads-per-core", _NO_TOPOLOGY),
    _plain("time", "t", environment="SBATCH_TIMELIMIT"),
    _ignored("time-min", "the time limit is never shortened"),
    _refused("tmp", "sandbox space comes from the partition; leave the option out"),
    Option(
        "uid",
        argument=_VALUE,
        refused=("sbatch: error: --uid only permitted by root user",),
        refusal_exit=255,
    ),
    _flag("usage"),
    _ignored("use-min-nodes", _NODES_ARE_GIVEN, argument=Argument.NONE),
    _flag("verbose", "v"),
    _flag("version", "V"),
    _flag("wait", "W"),
    _ignored("wait-all-nodes", _NODES_ARE_GIVEN),
    _ignored("wckey", "workload keys are not used here", environment="SBATCH_WCKEY"),
    _plain("wrap"),
)

USAGE = """\
Usage: sbatch [OPTIONS...] script [arguments...]
  -A, --account=NAME        account to charge
  -a, --array=INDEXES       a job for each index: 0-9, 1,3,5, 0-20:4, 0-99%5
      --begin=TIME          do not start before: now+1hour, 16:00, 2030-01-31T10:00
  -c, --cpus-per-task=N     CPUs of each task
  -D, --chdir=DIR           working directory of the job
  -d, --dependency=LIST     afterok:ID, afterany:ID, afternotok:ID, after:ID, singleton
  -e, --error=FILE          stderr, inside the working directory
      --export=LIST         NONE, ALL, names, NAME=value; ALL without it
  -G, --gpus=N              GPUs of the job
  -H, --hold                wait until scontrol release
  -i, --input=FILE          stdin, inside the working directory
  -J, --job-name=NAME       name of the job
      --mail-type=LIST      NONE, BEGIN, END, FAIL, ALL, ...
      --mail-user=ADDRESS   who gets the mail
      --mem=SIZE            memory of the job, MB or with K, M, G, T
      --mem-per-cpu=SIZE    memory for each CPU
  -n, --ntasks=N            number of tasks
  -N, --nodes=N             number of nodes
      --ntasks-per-node=N   tasks on the node
  -o, --output=FILE         stdout, inside the working directory
  -p, --partition=NAME      partition
      --parsable            print the job id only
  -q, --qos=NAME            quality of service
      --requeue             start it again when the cluster lost it
      --no-requeue          never start it again
      --test-only           only say whether and when it could start
  -t, --time=TIME           wall time: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S
  -W, --wait                return when the job ends, with its exit code
      --wrap=COMMAND        run a shell command instead of a script
Lines that begin with #SBATCH at the head of the script hold the same options.
"""
