"""The committed Thrift code belongs to the IDL, and its classes can be members of sets."""

import inspect
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol, TBinaryProtocolAccelerated
from thrift.protocol.TJSONProtocol import TJSONProtocol
from thrift.Thrift import TFrozenDict, TType
from thrift.transport.TTransport import TMemoryBuffer

from airavata_mesos_plugin.gen.aurora import (
    AuroraAdmin,
    AuroraSchedulerManager,
    ReadOnlyScheduler,
    constants,
    ttypes,
)

ROOT = Path(__file__).parents[2]
IDL = ROOT / "thrift" / "aurora" / "api.thrift"
IDLS = sorted((ROOT / "thrift").rglob("*.thrift"))
GEN = Path("airavata_mesos_plugin", "gen")

CLASSES = [cls for _, cls in inspect.getmembers(ttypes, inspect.isclass) if cls.__module__ == ttypes.__name__]
STRUCTS = [cls for cls in CLASSES if hasattr(cls, "thrift_spec")]
ENUMS = [cls for cls in CLASSES if hasattr(cls, "_VALUES_TO_NAMES")]
SERVICES = [ReadOnlyScheduler, AuroraSchedulerManager, AuroraAdmin]

SAMPLES: dict[int, Any] = {
    TType.BOOL: True,
    TType.DOUBLE: 0.5,
    TType.I32: 7,
    TType.I64: 1_700_000_000_000,
    TType.STRING: "text",
}


def accelerated(transport: TMemoryBuffer) -> Any:
    # Without the fallback a missing C extension is an error here instead of a test of the wrong code.
    return TBinaryProtocolAccelerated(transport, fallback=False)


def sample(kind: int, arguments: Any) -> Any:
    """A value of a type of the generated specifications, with nothing left out."""
    if kind == TType.STRUCT:
        return filled(arguments[0])
    if kind == TType.LIST:
        return (sample(arguments[0], arguments[1]),)
    if kind == TType.SET:
        return frozenset({sample(arguments[0], arguments[1])})
    if kind == TType.MAP:
        return TFrozenDict({sample(arguments[0], arguments[1]): sample(arguments[2], arguments[3])})
    return SAMPLES[kind]


def filled(struct: Any) -> Any:
    fields = [field for field in struct.thrift_spec if field is not None]
    return struct(**{name: sample(kind, arguments) for _, kind, name, arguments, _ in fields})


def files(package: Path) -> dict[str, bytes]:
    """The modules of a generated tree; the command-line scripts beside them are not kept."""
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*.py")}


def written_by(package: Path) -> str:
    found = re.search(r"Thrift Compiler \((.+?)\)", (package / "aurora" / "ttypes.py").read_text())
    assert found is not None
    return found[1]


def names(keyword: str) -> set[str]:
    return set(re.findall(rf"^{keyword} (\w+)", IDL.read_text(), flags=re.MULTILINE))


def test_committed_code_is_what_the_compiler_writes(tmp_path: Path) -> None:
    compiler = shutil.which("thrift")
    if compiler is None:
        missing = "the Thrift compiler is not installed (Debian: thrift-compiler)"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(f"{missing}: cannot compare the generated code with the IDL")
    for idl in IDLS:
        subprocess.run([compiler, "--gen", "py", "-out", str(tmp_path), str(idl)], check=True)
    committed, produced = ROOT / GEN, tmp_path / GEN
    expected, actual = files(produced), files(committed)
    wrong = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
    assert not wrong, (
        f"{wrong} differ from what the IDL gives; committed: compiler {written_by(committed)}, "
        f"here: compiler {written_by(produced)}. With the same compiler, run: make thrift"
    )


def test_committed_packages_hold_only_modules() -> None:
    found = [path for path in (ROOT / GEN).rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.suffix for path in found} == {".py"}


def test_every_type_of_the_idl_has_a_class() -> None:
    assert {cls.__name__ for cls in STRUCTS} == names("struct") | names("union")
    assert {cls.__name__ for cls in ENUMS} == names("enum")


@pytest.mark.parametrize("struct", STRUCTS)
def test_struct_is_frozen(struct: Any) -> None:
    value = filled(struct)
    name = next(field[2] for field in struct.thrift_spec if field is not None)
    with pytest.raises(TypeError, match="immutable"):
        setattr(value, name, None)
    with pytest.raises(TypeError, match="immutable"):
        delattr(value, name)


@pytest.mark.parametrize("protocol", [TBinaryProtocol, accelerated, TJSONProtocol])
@pytest.mark.parametrize("struct", STRUCTS)
def test_struct_that_was_read_is_hashable(struct: Any, protocol: Any) -> None:
    value = filled(struct)
    written = TMemoryBuffer()
    value.write(protocol(written))
    read = struct.read(protocol(TMemoryBuffer(written.getvalue())))
    assert read == value
    assert {read} == {value}


@pytest.mark.parametrize("documented", [*STRUCTS, *ENUMS, *(service.Iface for service in SERVICES)])
def test_every_type_and_service_is_explained(documented: Any) -> None:
    text = inspect.cleandoc(documented.__doc__ or "")
    assert text
    assert not text.startswith("Attributes:")


@pytest.mark.parametrize("service", SERVICES)
def test_every_method_is_explained(service: Any) -> None:
    methods = [member for member in vars(service.Iface).values() if inspect.isfunction(member)]
    assert methods
    unexplained = [
        method.__name__
        for method in methods
        if not method.__doc__ or inspect.cleandoc(method.__doc__).startswith("Parameters:")
    ]
    assert unexplained == []


def test_constants_divide_the_task_states() -> None:
    stored = constants.ACTIVE_STATES | constants.TERMINAL_STATES
    assert stored == set(ttypes.ScheduleStatus._VALUES_TO_NAMES) - {ttypes.ScheduleStatus.INIT}
    assert not constants.ACTIVE_STATES & constants.TERMINAL_STATES
    assert constants.LIVE_STATES < constants.SLAVE_ASSIGNED_STATES < constants.ACTIVE_STATES
