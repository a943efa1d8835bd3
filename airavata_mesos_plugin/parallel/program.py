"""``node NUMBER NAME``: one node of a parallel job, from its start to the end of the job."""

import hashlib
import os
import shutil
import signal
import stat
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from types import FrameType
from typing import List, Optional

from .first_node import FirstNode
from .gang import NODE_NAME, PLACE, Gang, read_gang, replace, write_nodes
from .rendezvous import GivenBack, Registration, meet, own_address
from .surroundings import write_surroundings
from .waiting_side import WaitingSide

GRACE_SECONDS = 5.0
"""Between TERM and KILL for commands that still run on a node when the job is over."""

GIVEN_BACK = 75
"""Exit code of a node that the daemon had no use for: EX_TEMPFAIL of sysexits.h."""

LOST = 70
"""Exit code of a node that heard nothing of the first one any more."""

_LOOK_SECONDS = 0.2


class _Stop(Exception):
    """A signal told the node to end."""


def main(control: Path, arguments: List[str]) -> int:
    """Be a node. Says on stderr what went wrong."""
    try:
        index, name = int(arguments[0]), arguments[1]
        gang = read_gang(control)
    except (IndexError, OSError, ValueError, KeyError, TypeError) as error:
        return _complain("this is no node of a parallel job: {}".format(error), 1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    waiting: Optional[WaitingSide] = None
    place: Optional[Path] = None
    try:
        address = own_address(gang.meeting)
        place = _make_place(gang, control)
        waiting = WaitingSide(gang, index, address, str(place))
        return _take_part(gang, control, index, name, address, waiting, place)
    except _Stop:
        return 128 + signal.SIGTERM
    except GivenBack as error:
        return _complain(str(error), GIVEN_BACK)
    except OSError as error:
        return _complain("cannot take part in the job: {}".format(error), 1)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # what follows must come to its end
        if waiting is not None:
            waiting.close(GRACE_SECONDS)
            if waiting.sessions:
                shutil.rmtree(waiting.sessions, ignore_errors=True)
        if place is not None:
            _remove_place(place, control)


def _take_part(
    gang: Gang, control: Path, index: int, name: str, address: str, waiting: WaitingSide, place: Path
) -> int:
    registration = Registration(index, name, address, waiting.port, uuid.uuid4().hex)
    nodes, variables = meet("{}/{}".format(gang.meeting, index), registration, lambda: False)
    waiting.joined = True
    write_nodes(control, nodes)
    waiting.name = nodes[index].name
    replace(control / NODE_NAME, waiting.name + "\n")
    waiting.heard()
    if index == 0:
        _claim(place, control)
        write_surroundings(control, str(place), gang, nodes, variables)
        first = FirstNode(gang, control, nodes[1:])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, first.forward)
        return first.run(["/bin/bash", str(control / "run.sh")], dict(os.environ))
    if [node.address for node in nodes].count(address) > 1:
        waiting.sessions = tempfile.mkdtemp(prefix="airavata-mesos.")  # short: sockets lie in it
    while not waiting.ended.wait(_LOOK_SECONDS):
        if waiting.silent_seconds() > gang.silence_seconds:
            return _complain("heard nothing of the first node any more", LOST)
    return 0


def _make_place(gang: Gang, control: Path) -> Path:
    """A path to the sandbox that is the same on every node: what launchers tell each other has paths in it.

    Nodes on one host share it. It then leads to the sandbox of one of them, of the first one if it is there.
    Raises OSError when somebody else has something there.
    """
    folder = place_folder(gang)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass  # an earlier run on this host, or another node on it
    _check_ours(folder)
    link = folder / "job"
    try:
        link.symlink_to(control.resolve().parent)
    except FileExistsError:
        pass
    replace(control / PLACE, str(link) + "\n")
    return link


def place_folder(gang: Gang) -> Path:
    """Where the path lies. Everybody may see the name; only who knows the secret could make it."""
    digest = hashlib.sha256(b"place" + gang.secret).hexdigest()
    return Path("/tmp") / "airavata-mesos.{}.{}".format(gang.job_id, digest[:32])


def _check_ours(folder: Path) -> None:
    """Raises PermissionError for what another account could have put there, or could change."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError("{} is not a directory that only this account can write to".format(folder))


def _claim(place: Path, control: Path) -> None:
    beside = place.with_name("first")
    beside.symlink_to(control.resolve().parent)
    os.replace(str(beside), str(place))


def _remove_place(place: Path, control: Path) -> None:
    try:
        if place.resolve() == control.resolve().parent:
            place.unlink()
            place.parent.rmdir()
    except OSError:
        pass  # another node on this host was quicker


def _end_with(parent: int) -> None:
    """Tell this process to end when whoever started it is gone: to the scheduler the node is lost then, and
    the job may begin again elsewhere. Not every agent ends the processes of an executor that is gone.
    """
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    print("airavata-mesos: whoever started this node is gone", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)


def _stop(_number: int, _frame: Optional[FrameType]) -> None:
    raise _Stop


def _complain(text: str, code: int) -> int:
    print("airavata-mesos: {}".format(text), file=sys.stderr)
    return code
