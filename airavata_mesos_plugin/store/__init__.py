"""The job ledger: durable, and the single source of truth for job ids and phases.

SQLite in WAL mode with full synchronisation: what a call has returned survives a crash of the process
and of the machine. One writer at a time inside the process; any number of readers, also from other
processes. A change of phase and the event that records it are one transaction.
"""

from airavata_mesos_plugin.store.ledger import Ledger
from airavata_mesos_plugin.store.outbox import Delivery, Outbox
from airavata_mesos_plugin.store.reader import LedgerReader
from airavata_mesos_plugin.store.selection import JobSelection
from airavata_mesos_plugin.store.waiting import KeptBack, Target, Verdict

__all__ = [
    "Delivery",
    "JobSelection",
    "KeptBack",
    "Ledger",
    "LedgerReader",
    "Outbox",
    "Target",
    "Verdict",
]
