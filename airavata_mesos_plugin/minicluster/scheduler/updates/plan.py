"""What an update has to do, and in which portions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airavata_mesos_plugin.gen.aurora import ttypes as api
from airavata_mesos_plugin.minicluster.scheduler.reads import ranges


def members(found: Iterable[Any]) -> set[int]:
    """The numbers of closed ranges."""
    return {number for span in found for number in range(span.first, span.last + 1)}


class Diff:
    """How the active instances of a job differ from what is wanted.  `only` limits what is looked at."""

    def __init__(self, current: Mapping[int, Any], config: Any, count: int, only: set[int]) -> None:
        wanted = set(range(count))
        seen = only or (wanted | set(current))
        self.add = {i for i in wanted - set(current) if i in seen}
        self.remove = {i for i in set(current) - wanted if i in seen}
        kept = {i for i in wanted & set(current) if i in seen}
        self.update = {i for i in kept if current[i] != config}
        self.unchanged = kept - self.update
        self.irrelevant = sorted(only - wanted - set(current))

    @property
    def empty(self) -> bool:
        return not (self.add or self.remove or self.update)


def grouped(instances: Iterable[int], configs: Mapping[int, Any]) -> dict[Any, list[int]]:
    """Instances by equal configuration."""
    groups: dict[Any, list[int]] = {}
    for instance in sorted(instances):
        groups.setdefault(configs[instance], []).append(instance)
    return groups


def config_groups(instances: Iterable[int], configs: Mapping[int, Any]) -> frozenset[Any]:
    found = grouped(instances, configs).items()
    return frozenset(api.ConfigGroup(config=c, instances=ranges(i)) for c, i in found)


def instructions(diff: Diff, current: Mapping[int, Any], config: Any, settings: Any) -> Any:
    """The struct that tells what there was and what there is to be."""
    before = grouped(diff.remove | diff.update, current).items()
    desired = diff.add | diff.update
    return api.JobUpdateInstructions(
        initialState=frozenset(api.InstanceTaskConfig(task=c, instances=ranges(i)) for c, i in before),
        desiredState=api.InstanceTaskConfig(task=config, instances=ranges(desired)) if desired else None,
        settings=settings,
    )


class Portions:
    """The strategy of an update: how many instances may begin, when some are in work and some have begun."""

    def __init__(self, settings: Any) -> None:
        strategy = settings.updateStrategy
        self.sizes: tuple[int, ...] = (settings.updateGroupSize,)
        self.waits = bool(settings.waitForBatchCompletion)
        self.autopause = False
        if strategy is None:
            return
        if strategy.queueStrategy is not None:
            self.sizes, self.waits = (strategy.queueStrategy.groupSize,), False
        elif strategy.batchStrategy is not None:
            self.sizes, self.waits = (strategy.batchStrategy.groupSize,), True
            self.autopause = bool(strategy.batchStrategy.autopauseAfterBatch)
        elif strategy.varBatchStrategy is not None:
            self.sizes, self.waits = tuple(strategy.varBatchStrategy.groupSizes), True
            self.autopause = bool(strategy.varBatchStrategy.autopauseAfterBatch)

    def room(self, working: int, begun: int) -> int:
        """`begun` counts every instance that ever began, `working` those not yet done."""
        if not self.waits:
            return max(0, self.sizes[0] - working)
        if working:
            return 0
        passed = 0
        for size in self.sizes:
            if passed >= begun:
                return size
            passed += size
        return self.sizes[-1]
