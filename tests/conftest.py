"""Fixtures that several kinds of tests share."""

from hypothesis import HealthCheck, settings

from tests.support.real_mesos import own_hosts, own_real_mesos, real_mesos, real_mesos_build

__all__ = ["own_hosts", "own_real_mesos", "real_mesos", "real_mesos_build"]

# How long an example takes is the machine's doing. In CI Hypothesis' own profile chooses the same examples
# each time.
settings.register_profile(
    "steady", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")
