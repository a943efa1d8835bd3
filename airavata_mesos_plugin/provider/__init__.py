"""The life cycle of a job: the only room that ties ledger, templates, schedulers and sandboxes together.

`Provider` is what others call. The steps of the road lie in modules of their own: `inputs` (what an agent
downloads), `submission` (ledger to scheduler), `monitoring` (scheduler to ledger, cancels), `outputs`
(sandbox to working directory, last word). Every step is driven by the ledger alone and may be repeated
after a crash at any point.
"""

from airavata_mesos_plugin.provider.core import Provider
from airavata_mesos_plugin.provider.parts import Parts

__all__ = ["Parts", "Provider"]
