"""sinfo: partitions and the nodes behind them, as last seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import QueueSettings
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import table, values
from airavata_mesos_plugin.slurm.options import Argument, Option, parse
from airavata_mesos_plugin.slurm.session import (
    VERSION_TEXT,
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
)

_VALUE = Argument.REQUIRED


def _other(long: str, short: str = "", argument: Argument = Argument.NONE) -> Option:
    line = f"sinfo: error: --{long} is not supported here; choose columns with -o"
    return Option(long, short, argument, refused=(line,))


SINFO_OPTIONS: tuple[Option, ...] = (
    Option("all", "a", ignored="no partition is hidden"),
    _other("dead", "d"),
    Option("exact", "e", ignored="nodes are never merged"),
    Option("federation", ignored="there is one cluster"),
    Option("format", "o", _VALUE),
    _other("Format", "O", _VALUE),
    Option("help"),
    Option("hide", ignored="no partition is hidden"),
    _other("iterate", "i", _VALUE),
    _other("json"),
    Option("local", ignored="there is one cluster"),
    _other("list-reasons", "R"),
    _other("long", "l"),
    Option("cluster", "", _VALUE, ignored="there is one cluster"),
    Option("clusters", "M", _VALUE, ignored="there is one cluster"),
    _other("Node", "N"),
    Option("noconvert", ignored="amounts are whole megabytes"),
    Option("noheader", "h"),
    _other("nodes", "n", _VALUE),
    Option("partition", "p", _VALUE),
    _other("responding", "r"),
    _other("sort", "S", _VALUE),
    Option("summarize", "s"),
    _other("states", "t", _VALUE),
    _other("reservation", "T"),
    Option("usage"),
    Option("verbose", "v", ignored="there is nothing more to say"),
    Option("version", "V"),
    _other("yaml"),
)

USAGE = "Usage: sinfo [-h] [-s] [-o format] [-p partition[,...]]\n"

DEFAULT_FORMAT = "%{}P %.5a %.10l %.6D %.6t %N"
SUMMARY_FORMAT = "%{}P %.5a %.10l %.16F %N"
_PARTITION_WIDTH = 9

_LONG_STATES = {"idle": "idle", "mix": "mixed", "alloc": "allocated", "down*": "down*", "n/a": "n/a"}


@dataclass(frozen=True)
class _Row:
    queue: QueueSettings
    default: bool
    state: str
    nodes: tuple[Node, ...]


def _state(node: Node) -> str:
    if not node.active:
        return "down*"
    if node.used.cpus <= 0:
        return "idle"
    return "alloc" if node.used.cpus >= node.total.cpus else "mix"


def _nodes(row: _Row) -> str:
    states = [_state(node) for node in row.nodes]
    allocated = sum(state in ("alloc", "mix") for state in states)
    idle, down = states.count("idle"), states.count("down*")
    return f"{allocated}/{idle}/{down}/{len(states)}"


def _cpus(row: _Row) -> str:
    up = [node for node in row.nodes if node.active]
    allocated = sum(min(node.used.cpus, node.total.cpus) for node in up)
    total = sum(node.total.cpus for node in row.nodes)
    idle = sum(node.total.cpus for node in up) - allocated
    return "/".join(f"{amount:g}" for amount in (allocated, idle, total - allocated - idle, total))


def _least(row: _Row, amount: Callable[[Node], float]) -> str:
    """The smallest amount, with a plus sign when others have more."""
    amounts = sorted({amount(node) for node in row.nodes})
    if not amounts:
        return "0"
    return f"{int(amounts[0])}{'+' if len(amounts) > 1 else ''}"


FIELDS: dict[str, table.Field[_Row]] = {
    "a": table.Field("AVAIL", lambda _row: "up"),
    "c": table.Field("CPUS", lambda row: _least(row, lambda node: node.total.cpus)),
    "C": table.Field("CPUS(A/I/O/T)", _cpus),
    "D": table.Field("NODES", lambda row: str(len(row.nodes))),
    "F": table.Field("NODES(A/I/O/T)", _nodes),
    "l": table.Field("TIMELIMIT", lambda row: values.duration(row.queue.max_wall_time_minutes * 60)),
    "m": table.Field("MEMORY", lambda row: _least(row, lambda node: node.total.memory_mb)),
    "N": table.Field("NODELIST", lambda row: values.hostlist([node.name for node in row.nodes])),
    "P": table.Field("PARTITION", lambda row: row.queue.name + ("*" if row.default else "")),
    "R": table.Field("PARTITION", lambda row: row.queue.name),
    "t": table.Field("STATE", lambda row: row.state),
    "T": table.Field("STATE", lambda row: _LONG_STATES[row.state]),
}


def run(invocation: Invocation, provider: JobProvider, _clock: Clock) -> Result:
    """Print partitions. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SINFO_OPTIONS, stop_at_word=False)
    if options.has("version"):
        return Result(VERSION_TEXT)
    if options.has("help") or options.has("usage"):
        return Result(USAGE)
    if options.words:
        raise CommandFailed(f"sinfo: error: Unrecognized option: {options.words[0]}", stdout=USAGE)
    for given in options.options:
        if given.option.refused:
            raise CommandFailed(*given.option.refused)
    wanted = options.value("partition")
    names = None if wanted is None else values.parse_list(wanted)
    settings = provider.settings
    queues = [queue for queue in settings.queues if names is None or queue.name in names]
    default = settings.queue(None).name
    text = options.value("format")
    if text is None:
        width = max([_PARTITION_WIDTH, *(len(queue.name) + (queue.name == default) for queue in queues)])
        text = (SUMMARY_FORMAT if options.has("summarize") else DEFAULT_FORMAT).format(width)
    columns, unknown = table.parse_format(text, FIELDS)
    by_state = any(column.letter in ("t", "T") for column in columns)
    rows = [
        row
        for queue in queues
        for row in _rows(queue, queue.name == default, provider.nodes(queue.cluster), by_state)
    ]
    complaints = "".join(f"sinfo: error: Invalid node format specification: {letter}\n" for letter in unknown)
    return Result(table.render(columns, rows, header=not options.has("noheader")), complaints)


def _rows(queue: QueueSettings, default: bool, nodes: Sequence[Node], by_state: bool) -> list[_Row]:
    """One row for each state of nodes, or one in all. A partition without nodes has one row too."""
    if not nodes:
        return [_Row(queue, default, "n/a", ())]
    if not by_state:
        return [_Row(queue, default, "", tuple(nodes))]
    states = [state for state in _LONG_STATES if any(_state(node) == state for node in nodes)]
    return [
        _Row(queue, default, state, tuple(node for node in nodes if _state(node) == state))
        for state in states
    ]
