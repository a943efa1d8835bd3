"""State tables are complete and the order of phases holds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airavata_mesos_plugin.gen.aurora.ttypes import ScheduleStatus
from airavata_mesos_plugin.jobs import ACTIVE_PHASES, FINAL_PHASES, JobPhase
from airavata_mesos_plugin.states import AIRAVATA_STATES, AURORA_PHASES, SLURM_STATES, may_follow, settle

phases = st.sampled_from(list(JobPhase))
runs = st.integers(0, 3)

AIRAVATA_LETTERS = {
    **dict.fromkeys(["C", "CD", "E", "CG", "DONE"], "COMPLETE"),
    **dict.fromkeys(["Q", "qw", "PEND", "W", "PD", "I"], "QUEUED"),
    **dict.fromkeys(["R", "CF", "r", "RUN"], "ACTIVE"),
    **dict.fromkeys(["CA", "X"], "CANCELED"),
    **dict.fromkeys(["F", "NF", "TO", "EXIT", "PR", "Er"], "FAILED"),
}
"""How Airavata (0.17 to master) reads squeue's ST column, without what is absorbing or unknown to it."""


def test_every_aurora_state_has_a_phase() -> None:
    assert set(AURORA_PHASES) == set(ScheduleStatus._NAMES_TO_VALUES)
    assert len(AURORA_PHASES) == 15


@pytest.mark.parametrize("table", [SLURM_STATES, AIRAVATA_STATES])
def test_every_phase_has_its_words(table: dict[JobPhase, object]) -> None:
    assert set(table) == set(JobPhase)


@pytest.mark.parametrize("phase", JobPhase)
def test_airavata_reads_the_letters_as_we_mean_them(phase: JobPhase) -> None:
    read = AIRAVATA_LETTERS[SLURM_STATES[phase].letters]
    meant = AIRAVATA_STATES[phase]
    assert read == ("QUEUED" if meant == "SUBMITTED" else meant)


def test_letters_that_mislead_airavata_are_never_used() -> None:
    assert {"CG", "S", "U", "UNKWN"}.isdisjoint(state.letters for state in SLURM_STATES.values())
    assert {"SUSPENDED", "UNKNOWN"}.isdisjoint(AIRAVATA_STATES.values())


def test_no_final_word_before_the_outputs_are_there() -> None:
    assert SLURM_STATES[JobPhase.FETCHING] == SLURM_STATES[JobPhase.RUNNING]


def test_active_and_final_phases_are_all_phases() -> None:
    assert set(JobPhase) == ACTIVE_PHASES | FINAL_PHASES
    assert set() == ACTIVE_PHASES & FINAL_PHASES
    assert len({phase.rank for phase in ACTIVE_PHASES}) == len(ACTIVE_PHASES)


@given(runs, phases, runs, phases)
def test_following_is_strict_and_final_phases_are_final(
    run: int, phase: JobPhase, next_run: int, next_phase: JobPhase
) -> None:
    allowed = may_follow(run, phase, next_run, next_phase)
    if phase.final or (run, phase) == (next_run, next_phase) or next_run < run:
        assert not allowed
    if allowed:
        assert not may_follow(next_run, next_phase, run, phase)


def test_a_rerun_goes_back_to_queued_but_not_before() -> None:
    assert may_follow(0, JobPhase.RUNNING, 1, JobPhase.QUEUED)
    assert not may_follow(0, JobPhase.RUNNING, 1, JobPhase.ACCEPTED)
    assert not may_follow(0, JobPhase.RUNNING, 0, JobPhase.QUEUED)


@pytest.mark.parametrize(
    ("ending", "exit_code", "timed_out", "killed_by_us", "final"),
    [
        (JobPhase.COMPLETED, 0, False, False, JobPhase.COMPLETED),
        (JobPhase.COMPLETED, None, False, False, JobPhase.COMPLETED),
        (JobPhase.COMPLETED, 3, False, False, JobPhase.FAILED),
        (JobPhase.FAILED, 3, False, False, JobPhase.FAILED),
        (JobPhase.FAILED, 143, True, False, JobPhase.TIMEOUT),
        (JobPhase.COMPLETED, 0, True, False, JobPhase.TIMEOUT),
        (JobPhase.CANCELLED, 143, False, True, JobPhase.CANCELLED),
        (JobPhase.COMPLETED, 0, False, True, JobPhase.CANCELLED),
        (JobPhase.CANCELLED, 143, False, False, JobPhase.FAILED),
        (JobPhase.CANCELLED, 143, True, False, JobPhase.TIMEOUT),
        (JobPhase.LOST, None, False, False, JobPhase.LOST),
    ],
)
def test_settle(
    ending: JobPhase, exit_code: int | None, timed_out: bool, killed_by_us: bool, final: JobPhase
) -> None:
    assert settle(ending, exit_code=exit_code, timed_out=timed_out, killed_by_us=killed_by_us) is final


def test_settle_refuses_what_is_no_end() -> None:
    for phase in ACTIVE_PHASES:
        with pytest.raises(ValueError, match="is not an end"):
            settle(phase, exit_code=0, timed_out=False, killed_by_us=False)


def test_settle_always_ends() -> None:
    for ending, code, timed_out, killed in itertools.product(
        FINAL_PHASES, (None, 0, 1), (False, True), (False, True)
    ):
        assert settle(ending, exit_code=code, timed_out=timed_out, killed_by_us=killed).final
