"""sinfo: partitions and the nodes behind them, as last seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airavata_mesos_plugin import hostlist
from airavata_mesos_plugin.clock import Clock
from airavata_mesos_plugin.config import QueueSettings
from airavata_mesos_plugin.schedulers.base import Node
from airavata_mesos_plugin.slurm import nodes as node_words
from airavata_mesos_plugin.slurm import table, values, view
from airavata_mesos_plugin.slurm.options import Argument, Option, Parsed, parse
from airavata_mesos_plugin.slurm.session import (
    CommandFailed,
    Invocation,
    JobProvider,
    Result,
    about,
    check_refused,
)

_VALUE = Argument.REQUIRED


def _other(long: str, short: str = "", argument: Argument = Argument.NONE, advice: str = "") -> Option:
    line = f"sinfo: error: --{long} is not supported here; {advice or 'choose columns with -o'}"
    return Option(long, short, argument, refused=(line,))


SINFO_OPTIONS: tuple[Option, ...] = (
    Option("all", "a", ignored="no partition is hidden"),
    Option("dead", "d"),
    Option("exact", "e", ignored="nodes are never merged"),
    Option("federation", ignored="there is one cluster"),
    Option("format", "o", _VALUE, environment="SINFO_FORMAT"),
    Option("Format", "O", _VALUE),
    Option("help"),
    Option("hide", ignored="no partition is hidden"),
    _other("iterate", "i", _VALUE, "repeat the command"),
    _other("json"),
    Option("local", ignored="there is one cluster"),
    Option("list-reasons", "R"),
    Option("long", "l"),
    Option("cluster", "", _VALUE, ignored="there is one cluster"),
    Option("clusters", "M", _VALUE, ignored="there is one cluster"),
    Option("Node", "N"),
    Option("noconvert", ignored="amounts are whole megabytes"),
    Option("noheader", "h"),
    Option("nodes", "n", _VALUE),
    Option("partition", "p", _VALUE),
    Option("responding", "r"),
    _other("sort", "S", _VALUE, "sort the output"),
    Option("summarize", "s"),
    Option("states", "t", _VALUE),
    Option("reservation", "T"),
    Option("usage"),
    Option("verbose", "v", ignored="there is nothing more to say"),
    Option("version", "V"),
    _other("yaml"),
)

USAGE = (
    "Usage: sinfo [-d] [-h] [-l] [-n nodes] [-N] [-o format] [-O field[:width],...]\n"
    "             [-p partition[,...]] [-r] [-R] [-s] [-t states]\n"
)

DEFAULT_FORMAT = "%{}P %.5a %.10l %.6D %.6t %N"
SUMMARY_FORMAT = "%{}P %.5a %.10l %.16F %N"
LONG_FORMAT = "%{}P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %N"
NODE_FORMAT = "%N %.6D %.9P %6t"
LONG_NODE_FORMAT = "%N %.6D %.9P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E"
REASON_FORMAT = "%20E %9u %19H %N"
_PARTITION_WIDTH = 9
_NODE_WIDTH = 9


@dataclass(frozen=True)
class _Row:
    queue: QueueSettings
    default: bool
    state: str
    nodes: tuple[Node, ...]

    def partition(self) -> str:
        """The name, with an asterisk when it is the default."""
        return self.queue.name + ("*" if self.default else "")

    def hosts(self) -> str:
        """The names of the nodes."""
        return hostlist.short([node.name for node in self.nodes])


def _always(heading: str, text: str) -> table.Field[_Row]:
    return table.Field(heading, lambda _row: text)


FIELDS: dict[str, table.Field[_Row]] = {
    "a": _always("AVAIL", "up"),
    "A": table.Field("NODES(A/I)", lambda row: "/".join(map(str, node_words.counts(row.nodes)[:2]))),
    "b": _always("ACTIVE_FEATURES", "(null)"),
    "B": _always("MAX_CPUS_PER_NODE", "UNLIMITED"),
    "c": table.Field("CPUS", lambda row: node_words.least(row.nodes, lambda node: node.total.cpus)),
    "C": table.Field("CPUS(A/I/O/T)", lambda row: node_words.cpus(row.nodes)),
    "d": table.Field("TMP_DISK", lambda row: node_words.least(row.nodes, lambda node: node.total.disk_mb)),
    "D": table.Field("NODES", lambda row: str(len(row.nodes))),
    "e": table.Field(
        "FREE_MEM",
        lambda row: node_words.least(row.nodes, lambda node: node.total.memory_mb - node.used.memory_mb),
    ),
    "E": table.Field("REASON", lambda row: "Not responding" if row.state == "down*" else "none"),
    "f": _always("AVAIL_FEATURES", "(null)"),
    "F": table.Field("NODES(A/I/O/T)", lambda row: "/".join(map(str, node_words.counts(row.nodes)))),
    "g": _always("GROUPS", "all"),
    "G": table.Field("GRES", lambda row: node_words.gres(row.nodes)),
    "h": _always("OVERSUBS", "NO"),
    "H": _always("TIMESTAMP", "Unknown"),
    "I": _always("PRIO_JOB_FACTOR", "1"),
    "l": table.Field("TIMELIMIT", lambda row: values.duration(row.queue.max_wall_time_minutes * 60)),
    "L": table.Field("DEFAULTTIME", lambda row: values.duration(row.queue.default_wall_time_minutes * 60)),
    "m": table.Field("MEMORY", lambda row: node_words.least(row.nodes, lambda node: node.total.memory_mb)),
    "M": _always("PREEMPT_MODE", "OFF"),
    "n": table.Field("HOSTNAMES", _Row.hosts),
    "N": table.Field("NODELIST", _Row.hosts),
    "o": table.Field("NODE_ADDR", _Row.hosts),
    "p": _always("PRIO_TIER", "1"),
    "P": table.Field("PARTITION", _Row.partition),
    "r": _always("ROOT", "no"),
    "R": table.Field("PARTITION", lambda row: row.queue.name),
    "s": _always("JOB_SIZE", "1"),
    "S": _always("ALLOCNODES", "all"),
    "t": table.Field("STATE", lambda row: row.state),
    "T": table.Field("STATE", lambda row: node_words.LONG_STATES[row.state]),
    "u": _always("USER", "Unknown"),
    "U": _always("USER", "Unknown"),
    "v": _always("VERSION", "22.05.8"),
    "w": _always("WEIGHT", "1"),
    "X": _always("SOCKETS", "1"),
    "Y": table.Field("CORES", lambda row: node_words.least(row.nodes, lambda node: node.total.cpus)),
    "z": table.Field("S:C:T", lambda row: f"1:{node_words.least(row.nodes, lambda node: node.total.cpus)}:1"),
    "Z": _always("THREADS", "1"),
}

NAMES: dict[str, table.Field[_Row]] = {
    "All": FIELDS["P"],
    "AllocNodes": FIELDS["S"],
    "Available": FIELDS["a"],
    "CPUs": FIELDS["c"],
    "CPUsState": FIELDS["C"],
    "Cores": FIELDS["Y"],
    "DefaultTime": FIELDS["L"],
    "Disk": FIELDS["d"],
    "Features": FIELDS["f"],
    "FreeMem": FIELDS["e"],
    "Gres": FIELDS["G"],
    "Groups": FIELDS["g"],
    "Memory": FIELDS["m"],
    "NodeAddr": FIELDS["o"],
    "NodeAI": FIELDS["A"],
    "NodeAIOT": FIELDS["F"],
    "NodeHost": FIELDS["n"],
    "NodeList": FIELDS["N"],
    "Nodes": FIELDS["D"],
    "OverSubscribe": FIELDS["h"],
    "Partition": FIELDS["P"],
    "PartitionName": FIELDS["R"],
    "PreemptMode": FIELDS["M"],
    "Reason": FIELDS["E"],
    "Root": FIELDS["r"],
    "Size": FIELDS["s"],
    "SocketCoreThread": FIELDS["z"],
    "Sockets": FIELDS["X"],
    "StateCompact": FIELDS["t"],
    "StateLong": FIELDS["T"],
    "State": FIELDS["T"],
    "Threads": FIELDS["Z"],
    "Time": FIELDS["l"],
    "TimeStamp": FIELDS["H"],
    "User": FIELDS["u"],
    "Version": FIELDS["v"],
    "Weight": FIELDS["w"],
}


def run(invocation: Invocation, provider: JobProvider, clock: Clock) -> Result:
    """Print partitions. Raises CommandFailed and OptionError."""
    options = parse(invocation.argv, SINFO_OPTIONS, stop_at_word=False)
    if (told := about(options, USAGE)) is not None:
        return told
    if options.words:
        raise CommandFailed(f"sinfo: error: Unrecognized option: {options.words[0]}", stdout=USAGE)
    check_refused(options)
    if options.has("reservation"):
        return Result("No reservations in the system\n")
    wanted = options.value("partition")
    names = None if wanted is None else values.parse_list(wanted)
    settings = provider.settings
    queues = [queue for queue in settings.queues if names is None or queue.name in names]
    default = settings.queue(None).name
    complaints: list[str] = []
    columns, shape = _columns(options, invocation, queues, default, provider, complaints)
    rows = [
        row
        for queue in queues
        for row in _rows(queue, queue.name == default, _nodes(queue, provider, options), shape, options)
    ]
    if shape.by_node:
        rows.sort(key=_Row.hosts)
    stdout = table.render(columns, rows, header=not options.has("noheader"))
    if shape.with_date and not options.has("noheader"):
        here = datetime.fromtimestamp(clock.now(), view.zone(invocation.environ))
        stdout = here.strftime("%a %b %d %H:%M:%S %Y") + "\n" + stdout
    return Result(stdout, "".join(f"{line}\n" for line in complaints))


@dataclass(frozen=True)
class _Shape:
    by_state: bool
    by_node: bool
    with_date: bool
    down_only: bool


def _columns(
    options: Parsed,
    invocation: Invocation,
    queues: Sequence[QueueSettings],
    default: str,
    provider: JobProvider,
    complaints: list[str],
) -> tuple[list[table.Column[_Row]], _Shape]:
    long, by_node, reasons = options.has("long"), options.has("Node"), options.has("list-reasons")
    text = options.value("format")
    if (named := options.value("Format")) is not None and text is None:
        columns, unknown = table.parse_names(named, NAMES)
    else:
        standard = text is None
        if text is None:
            text = invocation.environ.get("SINFO_FORMAT") or _standard(options, queues, default)
        columns, unknown = table.parse_format(text, FIELDS)
        if standard and by_node and not reasons:
            width = max([_NODE_WIDTH, *(len(n.name) for q in queues for n in provider.nodes(q.cluster))])
            columns[0] = table.Column("", FIELDS["N"], "N", width)
    complaints += [f"sinfo: error: Invalid node format specification: {letter}" for letter in unknown]
    # What differs from node to node parts a partition into rows.
    parting = {FIELDS[letter].value for letter in "tTE"}
    by_state = any(column.field is not None and column.field.value in parting for column in columns)
    return columns, _Shape(by_state or by_node, by_node, long, reasons)


def _standard(options: Parsed, queues: Sequence[QueueSettings], default: str) -> str:
    width = max([_PARTITION_WIDTH, *(len(queue.name) + (queue.name == default) for queue in queues)])
    if options.has("list-reasons"):
        return REASON_FORMAT
    if options.has("Node"):
        return LONG_NODE_FORMAT if options.has("long") else NODE_FORMAT
    if options.has("summarize"):
        return SUMMARY_FORMAT.format(width)
    return (LONG_FORMAT if options.has("long") else DEFAULT_FORMAT).format(width)


def _nodes(queue: QueueSettings, provider: JobProvider, options: Parsed) -> list[Node] | None:
    """The nodes of a partition that are asked for; None when none is known at all."""
    nodes = provider.nodes(queue.cluster)
    if not nodes:
        return None
    if (text := options.value("nodes")) is not None:
        hosts = frozenset(hostlist.expand(text))
        nodes = [node for node in nodes if node.name in hosts]
    if (text := options.value("states")) is not None:
        states = _states(text)
        nodes = [node for node in nodes if node_words.state(node) in states]
    if options.has("dead"):
        nodes = [node for node in nodes if not node.active]
    if options.has("responding"):
        nodes = [node for node in nodes if node.active]
    return nodes


def _states(text: str) -> set[str]:
    states: set[str] = set()
    for entry in values.parse_list(text):
        found = node_words.NAMES_OF_STATES.get(entry.lower().rstrip("*"))
        if found is None:
            raise CommandFailed(
                f'sinfo: error: Bad state string: "{entry}"',
                f"sinfo: error: valid states: {','.join(node_words.NAMES_OF_STATES)}",
            )
        states.update(found)
    return states


def _rows(
    queue: QueueSettings, default: bool, nodes: list[Node] | None, shape: _Shape, options: Parsed
) -> list[_Row]:
    """One row for each state of nodes, or each node, or one in all; one for a partition without nodes."""
    if shape.down_only:
        return [_Row(queue, default, "down*", (node,)) for node in nodes or () if not node.active]
    if not nodes:
        return [] if shape.by_node else [_Row(queue, default, "n/a", ())]
    if shape.by_node:
        return [_Row(queue, default, node_words.state(node), (node,)) for node in nodes]
    if not shape.by_state or options.has("summarize"):
        return [_Row(queue, default, "", tuple(nodes))]
    return [
        _Row(queue, default, state, tuple(node for node in nodes if node_words.state(node) == state))
        for state in node_words.LONG_STATES
        if any(node_words.state(node) == state for node in nodes)
    ]
