"""The tiers built into Aurora 0.22."""

from __future__ import annotations

from typing import NamedTuple


class Tier(NamedTuple):
    preemptible: bool
    revocable: bool

    @property
    def production(self) -> bool:
        return not self.preemptible and not self.revocable

    def settings(self) -> dict[str, str]:
        return {"preemptible": str(self.preemptible).lower(), "revocable": str(self.revocable).lower()}


DEFAULT_TIER = "preemptible"
TIERS = {
    "preferred": Tier(preemptible=False, revocable=False),
    "preemptible": Tier(preemptible=True, revocable=False),
    "revocable": Tier(preemptible=True, revocable=True),
}
