"""What `airavata-mesos` asks of the daemon about the files of jobs. For the owner of a job, and for root."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from airavata_mesos_plugin.errors import AiravataMesosError, InvalidRequest, Refused
from airavata_mesos_plugin.jobs import JobRecord
from airavata_mesos_plugin.provider import Provider
from airavata_mesos_plugin.provider.following import Cursor
from airavata_mesos_plugin.service.answers import Answer, json_answer


class FileCalls:
    """Answers them."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.calls: Mapping[str, Callable[[Sequence[str], int, str], Answer]] = {
            "follow": self._follow,
            "list": self._list,
            "choose": self._choose,
            "content": self._content,
            "put-begin": self._put_begin,
            "put-end": self._put_end,
        }

    def _follow(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        """Job, name and cursor; bytes on stdout, and on stderr what to know about them."""
        if len(argv) != 3:
            raise InvalidRequest("follow needs a job id, a file name and a cursor")
        record = own(self._provider, argv[0], uid)
        cursor = Cursor.parse(argv[2])
        try:
            found = self._provider.follow(record.id, argv[1], cursor)
        except AiravataMesosError as error:
            if not error.transient:
                raise
            told = {"cursor": cursor.text(), "over": False, "notes": [], "trouble": str(error)}
            return Answer(stderr=json.dumps(told).encode())
        told = {"cursor": found.cursor.text(), "over": found.over, "notes": found.notes, "trouble": ""}
        return Answer(stdout=found.data, stderr=json.dumps(told).encode())

    def _list(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        """Job and directory; its entries."""
        if len(argv) != 2:
            raise InvalidRequest("list needs a job id and a directory")
        place, found = self._provider.files.entries(own(self._provider, argv[0], uid), argv[1])
        return json_answer({"place": place, "entries": [asdict(entry) for entry in found]})

    def _choose(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        """Job, ``new`` or ``all``, and patterns; the files that they name."""
        if len(argv) < 2 or argv[1] not in ("new", "all"):
            raise InvalidRequest("choose needs a job id, new or all, and patterns")
        record = own(self._provider, argv[0], uid)
        chosen = self._provider.files.choose(record, argv[2:], new_only=argv[1] == "new")
        files = [asdict(entry) for entry in chosen.files]
        return json_answer({"place": chosen.place, "files": files, "left_out": chosen.left_out})

    def _content(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        """Job, place and name; all bytes of that file as it is now."""
        if len(argv) != 3:
            raise InvalidRequest("content needs a job id, a place and a name")
        record = own(self._provider, argv[0], uid)
        return Answer(more=self._provider.files.content(record, argv[1], argv[2]))

    def _put_begin(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        """Job; whether its inputs may be changed."""
        if len(argv) != 1:
            raise InvalidRequest("put-begin needs a job id")
        opened = self._provider.putting.begin(own(self._provider, argv[0], uid), uid)
        return json_answer(asdict(opened))

    def _put_end(self, argv: Sequence[str], uid: int, _user: str) -> Answer:
        """Job, ``release`` or ``keep``, and the names of files that are in the working directory now."""
        if len(argv) < 3 or argv[1] not in ("release", "keep"):
            raise InvalidRequest("put-end needs a job id, release or keep, and names")
        record = own(self._provider, argv[0], uid)
        self._provider.putting.end(record, uid, argv[2:], release=argv[1] == "release")
        return json_answer({"id": record.id})


def job_number(text: str) -> int:
    """The id of a job. Raises InvalidRequest for what is none."""
    if not text.isascii() or not text.isdecimal():
        raise InvalidRequest(f"{text!r} is not a job id")
    return int(text)


def own(provider: Provider, job_id: str, uid: int) -> JobRecord:
    """The job, if its files are for this account. Raises NotFound, Refused and InvalidRequest."""
    record = provider.job(job_number(job_id))
    if uid not in (0, record.request.uid):
        raise Refused(f"job {record.id} belongs to {record.request.user}")
    return record
