"""Every error of the package, in families named by what the caller can do about it.

Two questions decide how a caller goes on, and every error answers both:

``transient``        would the same call have a chance later, with nothing else changed?
``outcome_unknown``  may the call have taken effect although it failed?

Callers ask these, never for a class.
"""

from __future__ import annotations


class AiravataMesosError(Exception):
    """Root of all errors.

    ``message`` says what happened and to what; ``advice`` says what to do, if there is something.
    """

    transient = False
    outcome_unknown = False

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} ({self.advice})" if self.advice else self.message


class ConfigurationError(AiravataMesosError):
    """The settings are wrong; an administrator has to change a file."""


class InvalidRequest(AiravataMesosError):
    """What was asked for can never be done as it was asked."""


class UnsatisfiableRequest(InvalidRequest):
    """No node of the cluster, or no queue limit, allows what was asked for."""


class NotFound(AiravataMesosError):
    """There is no such job, queue, file or call."""


class AlreadyExists(AiravataMesosError):
    """The name is taken; somebody, perhaps an earlier try of ours, was there before."""


class Refused(AiravataMesosError):
    """The caller is not allowed to do this."""


class AuthenticationFailed(Refused):
    """The scheduler or agent did not accept our credentials."""


class QuotaExceeded(Refused):
    """The role's quota does not allow the job now."""


class Unreachable(AiravataMesosError):
    """Nothing was sent: no connection, or nobody answers at the address."""

    transient = True


class NotLeader(Unreachable):
    """The process that answered does not lead and nobody who does is known."""


class NotReady(AiravataMesosError):
    """The server understood, did nothing, and asks to try again later."""

    transient = True


class FilesUnavailable(NotReady):
    """The files of an account cannot be reached now: their file system hangs, or nobody works on them."""


class OutcomeUnknown(AiravataMesosError):
    """The connection broke or timed out after the request was sent: it may have been carried out."""

    transient = True
    outcome_unknown = True


class ServerFault(AiravataMesosError):
    """The server failed while it worked on the request: it may have been carried out."""

    outcome_unknown = True


class ProtocolError(AiravataMesosError):
    """The answer makes no sense: not the server that we expect, or a version that we do not know."""

    outcome_unknown = True


class StagingError(AiravataMesosError):
    """Inputs could not be made available to the job."""


class TransferError(AiravataMesosError):
    """A file could not be brought over; trying again may help."""

    transient = True


class UnsafePath(AiravataMesosError):
    """A path leads out of the directory that it must stay in."""


class SandboxGone(NotFound):
    """The sandbox of a task has been collected, or its agent is gone for good."""


class LedgerError(AiravataMesosError):
    """The job ledger cannot be read or written."""


class ServiceUnavailable(AiravataMesosError):
    """The provider daemon does not answer on its command socket."""

    transient = True
