"""A cluster on which the daemon schedules by itself, as a framework of Mesos."""

from __future__ import annotations

from pydantic import Field, field_validator

from airavata_mesos_plugin.config.names import IDENTIFIER
from airavata_mesos_plugin.config.types import Settings


class MesosSettings(Settings):
    """For clusters of the kind mesos."""

    framework_name: str = Field(
        "airavata-mesos", pattern=IDENTIFIER, description="name under which Mesos lists the daemon"
    )
    user: str | None = Field(
        None,
        pattern=IDENTIFIER,
        description="account of tasks that name none; none: that of the daemon; not to be changed later",
    )
    roles: tuple[str, ...] = Field(
        ("*",), min_length=1, description="Mesos roles whose offers the queues may use"
    )
    failover_timeout_seconds: float = Field(
        28 * 86400.0,
        gt=0,
        description="how long Mesos keeps jobs that run while the daemon is away; then it kills them",
    )
    refuse_seconds: float = Field(
        30.0, ge=1, description="how long Mesos keeps what no waiting job can use from us"
    )
    reservation_after_seconds: float = Field(
        60.0, ge=0, description="after that long a job that fits nowhere gets nodes kept for it"
    )
    reconcile_seconds: float = Field(
        900.0, ge=10, description="between two questions to the master about all tasks"
    )
    unreachable_seconds: float = Field(
        900.0, ge=0, description="how long a job may be on an agent that is cut off until it counts as lost"
    )
    unknown_seconds: float = Field(
        700.0,
        ge=0,
        description="how long the master may not know a job; above its agent_reregister_timeout",
    )
    remember_seconds: float = Field(86400.0, ge=0, description="how long ended jobs are kept at least")

    @field_validator("roles")
    @classmethod
    def _are_roles(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        for role in roles:
            # Mesos 1.11, src/common/roles: what a role may not be.
            bad = (
                role in ("", ".", "..") or role.startswith("-") or any(part == "" for part in role.split("/"))
            )
            if bad or any(letter.isspace() or letter in "\\\x08\x7f" for letter in role):
                raise ValueError(f"{role!r} is not the name of a Mesos role")
            if "*" in role and role != "*":
                raise ValueError("* is a role of its own and no part of one")
        if len(set(roles)) < len(roles):
            raise ValueError("a role is named twice")
        return roles
