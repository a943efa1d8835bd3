"""Fixtures that several kinds of tests share."""

from tests.support.real_mesos import own_real_mesos, real_mesos, real_mesos_build

__all__ = ["own_real_mesos", "real_mesos", "real_mesos_build"]
