"""Files come and go whole, inside their directories, and only when their time has come."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.airavata.tasks import (
    ArchiveTask,
    DefaultJobSubmissionTask,
    EnvSetupTask,
    InputDataStagingTask,
    LocalStorage,
    OutputDataStagingTask,
    TaskFactory,
)
from airavata_mesos_plugin.airavata.tasks.model import (
    DataStageType,
    DataStaging,
    DataType,
    EnvironmentSetup,
    InputDataObject,
    OutputDataObject,
    TaskModel,
    TaskTypes,
)
from airavata_mesos_plugin.airavata.tasks.spi import Cancelled
from airavata_mesos_plugin.errors import AiravataMesosError, ConfigurationError, InvalidRequest, UnsafePath
from airavata_mesos_plugin.jobs import JobPhase
from tests.unit.tasks.conftest import World, done, failed


def staging(source: str = "", given_input: InputDataObject | None = None) -> DataStaging:
    return DataStaging(DataStageType.INPUT, source, process_input=given_input)


def output(value: str, kind: DataType = DataType.URI, *, required: bool = True) -> DataStaging:
    return DataStaging(
        DataStageType.OUPUT, process_output=OutputDataObject("out", value, kind, is_required=required)
    )


def tree(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def test_the_working_directory_is_made_once(world: World, tmp_path: Path) -> None:
    place = tmp_path / "scratch" / "PROCESS_1"
    context = world.context(model=EnvironmentSetup(str(place)))
    done(EnvSetupTask().execute(context))
    (place / "kept").write_text("x")
    done(EnvSetupTask().recover(context))
    assert tree(place) == {"kept": b"x"}


def test_a_working_directory_that_cannot_be_made_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reason = failed(
        EnvSetupTask().execute(world.context(model=EnvironmentSetup(str(tmp_path / "file" / "x"))))
    )
    assert str(tmp_path / "file") in reason
    assert "absolute" in failed(EnvSetupTask().execute(world.context(model=EnvironmentSetup("scratch"))))


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://storage.example.org:{}", "data/in.txt"])
def test_an_input_comes_into_the_working_directory(world: World, form: str) -> None:
    (world.store / "data").mkdir()
    path = world.store / "data" / "in.txt"
    path.write_bytes(b"words")
    task, context = InputDataStagingTask(), world.context(model=staging(form.format(path)))
    assert done(task.execute(context)) == "1 files, 5 bytes"
    path.write_bytes(b"other words")
    done(task.recover(context))
    assert tree(world.work) == {"in.txt": b"other words"}


def test_collections_and_other_names(world: World) -> None:
    for name in ("a", "b", "c"):
        (world.store / name).write_text(name)
    many = InputDataObject("in", type=DataType.URI_COLLECTION)
    done(InputDataStagingTask().execute(world.context(model=staging("a, b", many))))
    named = InputDataObject("in", "c", DataType.URI, override_filename="input.dat")
    done(InputDataStagingTask().execute(world.context(model=staging(given_input=named))))
    assert tree(world.work) == {"a": b"a", "b": b"b", "input.dat": b"c"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("empty", "is empty"),
        ("missing", "no readable file missing"),
        ("/etc/passwd", "not in the storage"),
        ("../outside", "climbs out"),
        ("link", "symbolic link"),
        ("gsiftp://host/x", "no gsiftp addresses"),
        ("", "names no source"),
    ],
)
def test_inputs_that_cannot_be_staged_are_named(world: World, tmp_path: Path, source: str, text: str) -> None:
    (world.store / "empty").touch()
    (tmp_path / "outside").write_text("secret")
    (world.store / "link").symlink_to(tmp_path / "outside")
    assert text in failed(InputDataStagingTask().execute(world.context(model=staging(source))))
    assert list(world.work.iterdir()) == []


def test_an_optional_input_may_be_missing(world: World) -> None:
    assert "optional" in done(
        InputDataStagingTask().execute(world.context(model=staging(given_input=InputDataObject("in"))))
    )
    needed = InputDataObject("in", is_required=True)
    failed(InputDataStagingTask().execute(world.context(model=staging(given_input=needed))))


def test_a_link_in_the_working_directory_leads_nowhere(world: World, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (world.work / "in").symlink_to(target)
    (world.store / "in").write_text("new")
    done(InputDataStagingTask().execute(world.context(model=staging("in"))))
    assert target.read_text() == "kept"
    assert (world.work / "in").read_text() == "new"


def test_outputs_go_below_the_data_directory(world: World) -> None:
    (world.work / "d").mkdir()
    for name in ("Echo.stdout", "d/r1.txt", "d/r2.txt", "d/.r3.txt"):
        (world.work / name).write_text(name)
    process = world.process(data_directory="exp 1/")
    for model in (
        output("", DataType.STDOUT),
        output("d/r*.txt", DataType.URI_COLLECTION),
        output(f"{world.work}/d/r2.txt"),
    ):
        done(OutputDataStagingTask().execute(world.context(model=model, process=process)))
    assert tree(world.store) == {
        "exp 1/Echo.stdout": b"Echo.stdout",
        "exp 1/r1.txt": b"d/r1.txt",
        "exp 1/r2.txt": b"d/r2.txt",
    }
    assert [each.value for each in world.memory.outputs] == [
        f"file://{world.store}/exp 1/Echo.stdout",
        f"file://{world.store}/exp 1/r1.txt,file://{world.store}/exp 1/r2.txt",
        f"file://{world.store}/exp 1/r2.txt",
    ]


def test_a_pattern_for_one_file_takes_the_first(world: World) -> None:
    for name in ("b.dat", "a.dat"):
        (world.work / name).write_text(name)
    done(OutputDataStagingTask().execute(world.context(model=output("*.dat"))))
    assert tree(world.store) == {"PROCESS_1/a.dat": b"a.dat"}


@pytest.mark.parametrize("value", ["missing", "*.none", "nodir/*.x"])
def test_a_missing_output_matters_when_it_is_required(world: World, value: str) -> None:
    assert "output out" in failed(OutputDataStagingTask().execute(world.context(model=output(value))))
    reason = done(OutputDataStagingTask().execute(world.context(model=output(value, required=False))))
    assert "not required" in reason
    assert world.memory.outputs == []


@pytest.mark.parametrize("value", ["../secret", "/etc/passwd", "link", "linked/x", "linked/*"])
def test_outputs_come_from_the_working_directory_only(world: World, tmp_path: Path, value: str) -> None:
    (tmp_path / "secret").write_text("secret")
    (world.work / "link").symlink_to(tmp_path / "secret")
    (world.work / "linked").symlink_to(tmp_path)
    failed(OutputDataStagingTask().execute(world.context(model=output(value, required=True))))
    assert tree(world.store) == {}


def test_nothing_is_staged_out_before_the_job_is_over(world: World) -> None:
    done(DefaultJobSubmissionTask().execute(world.context()))
    (world.work / "r").write_text("half")
    out = world.context("TASK_2", output("r"))
    archive = world.context("TASK_3", DataStaging(DataStageType.ARCHIVE_OUTPUT))
    for task, context in ((OutputDataStagingTask(), out), (ArchiveTask(), archive)):
        assert "not over yet: 1" in failed(task.execute(context))
    assert tree(world.store) == {}
    world.move(1, JobPhase.FAILED)
    for task, context in ((OutputDataStagingTask(), out), (ArchiveTask(), archive)):
        done(task.execute(context))
    assert tree(world.store) == {"PROCESS_1/r": b"half", "PROCESS_1/ARCHIVE/r": b"half"}


def test_an_archive_holds_all_regular_files(world: World, tmp_path: Path) -> None:
    (world.work / "d" / "e").mkdir(parents=True)
    (world.work / "d" / "e" / "\udcff n\n").write_text("1")
    (world.work / "empty").touch()
    (tmp_path / "secret").write_text("secret")
    (world.work / "link").symlink_to(tmp_path / "secret")
    model = DataStaging(DataStageType.ARCHIVE_OUTPUT)
    assert done(ArchiveTask().execute(world.context(model=model))) == "2 files, 1 bytes"
    assert tree(world.store / "PROCESS_1" / "ARCHIVE") == {"d/e/\udcff n\n": b"1", "empty": b""}
    small = ArchiveTask()
    small.init({"max_bytes": "0"})
    assert "more than an archive may have" in failed(small.execute(world.context(model=model)))


def test_staging_is_for_the_own_account_only(world: World) -> None:
    process = world.process(uid=os.geteuid() + 1)
    for task, model in (
        (EnvSetupTask(), EnvironmentSetup(str(world.work / "new"))),
        (InputDataStagingTask(), staging("x")),
        (OutputDataStagingTask(), output("x")),
        (ArchiveTask(), DataStaging(DataStageType.ARCHIVE_OUTPUT)),
    ):
        assert "another account" in failed(task.execute(world.context(model=model, process=process)))
    assert list(world.work.iterdir()) == []


def test_a_model_of_another_kind_is_refused(world: World) -> None:
    for task in (EnvSetupTask(), InputDataStagingTask(), OutputDataStagingTask(), ArchiveTask()):
        model = EnvironmentSetup("/x") if not isinstance(task, EnvSetupTask) else staging("x")
        assert "model" in failed(task.execute(world.context(model=model)))


def test_a_cancelled_copy_leaves_nothing(world: World) -> None:
    (world.store / "in").write_bytes(b"x" * 3_000_000)
    context = world.context(model=staging("in"))
    InputDataStagingTask().cancel(context)
    assert "cancelled" in failed(InputDataStagingTask().execute(context))
    with pytest.raises(Cancelled):
        world.storage.store(io.BytesIO(b"x"), "d/out", context.process.cancelled)
    assert list(world.work.iterdir()) == []
    assert tree(world.store).keys() == {"in"}


@given(place=st.text(st.sampled_from("./ab:%?#\0\n"), max_size=20))
def test_no_place_leads_out_of_storage(tmp_path_factory: pytest.TempPathFactory, place: str) -> None:
    base = tmp_path_factory.mktemp("base")
    (base / "root").mkdir()
    with contextlib.suppress(AiravataMesosError, OSError):
        LocalStorage(base / "root").store(io.BytesIO(b"x"), place, threading.Event())
    assert {path.name for path in base.iterdir()} == {"root"}


def test_storage_names_what_is_not_its_own(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    with pytest.raises(UnsafePath, match="is not in the storage"):
        storage.open(f"{tmp_path}-other/x")


def test_the_factory_knows_each_step() -> None:
    factory = TaskFactory({"MonitoringTask": {"poll_interval_seconds": "1"}})

    def task(kind: TaskTypes, stage: DataStageType | None = None) -> str:
        model = None if stage is None else DataStaging(stage)
        return type(factory.task(TaskModel("T", kind, "P", model))).__name__

    assert task(TaskTypes.ENV_SETUP) == "EnvSetupTask"
    assert task(TaskTypes.JOB_SUBMISSION) == "DefaultJobSubmissionTask"
    assert task(TaskTypes.MONITORING) == "MonitoringTask"
    assert [task(TaskTypes.DATA_STAGING, stage) for stage in DataStageType] == [
        *("InputDataStagingTask", "OutputDataStagingTask", "ArchiveTask")
    ]
    assert factory.task(TaskModel("T", TaskTypes.MONITORING, "P")) is factory.task(
        TaskModel("U", TaskTypes.MONITORING, "Q")
    )
    for kind in (TaskTypes.ENV_CLEANUP, TaskTypes.DATA_STAGING):
        with pytest.raises(InvalidRequest):
            task(kind)
    with pytest.raises(ConfigurationError, match="no task 'Unknown'"):
        TaskFactory({"Unknown": {}})
