"""Fifty experiments at once, as after a workshop: each has its own job and its own outputs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.contract.airavata_process import Experiment, Output, Process
from tests.contract.door import Door

EXPERIMENTS = 50
WORKERS = 10


def test_fifty_experiments_at_once(door: Door) -> None:
    gateway = door.develop

    def launch(number: int) -> Process:
        content = f"{number}\n".encode()
        body = f"cat number; cp number copy; exit {number % 5 == 4:d}"
        return gateway.launch(Experiment(body, {"number": content}, (Output("copy"),)))

    def finish(process: Process) -> str:
        return door.follow(gateway, process)[-1]

    with ThreadPoolExecutor(WORKERS) as pool:
        processes = list(pool.map(launch, range(EXPERIMENTS)))
        assert [process.errors for process in processes if process.errors] == []
        assert len({process.job_id for process in processes}) == EXPERIMENTS
        ends = list(pool.map(finish, processes))

    assert ends == ["FAILED" if number % 5 == 4 else "COMPLETE" for number in range(EXPERIMENTS)]
    for number, process in enumerate(processes):
        assert (process.errors, process.warnings, process.verified) == ([], [], True)
        assert process.experiment_state == "COMPLETED"
        assert process.files["copy"].read_text() == f"{number}\n"
        assert process.files["App.stdout"].read_text() == f"{number}\n"
    assert door.site.count() == EXPERIMENTS
