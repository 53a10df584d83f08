"""Whose a place for trials is: a small file in it names the study, and the session that was there last.

Trial folders have no more than a number for a name. Where two studies were given one place, or a
bucket is used again, the second would go on from the first one's checkpoints: so it is refused by name.
A study that was moved is known by its id. Of a study and its copy, which have one id, only one can go
on in a place that both name: the one whose ledger knows the session that was there last.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
from dataclasses import dataclass

from study.errors import StudyError
from study.record.ledger import Ledger
from study.record.storage import Storage

NAME = "owner.json"
_log = logging.getLogger("dcreid.study")


@dataclass(frozen=True)
class _Owner:
    study: str  # its id
    folder: str
    host: str
    session: str  # token of the session

    def is_like(self, other: _Owner) -> bool:
        """Whether both are of one study folder."""
        return (self.study, self.folder, self.host) == (other.study, other.folder, other.host)


def claim(place: Storage, ledger: Ledger) -> None:
    """Writes into a place that it is the study's. Raises StudyError where it is another's, OSError."""
    folder, known = ledger.path.parent.resolve(), {one.get("token") for one in ledger.sessions}
    me = _Owner(ledger.study_id, str(folder), socket.gethostname(), ledger.sessions[-1]["token"])
    owner = _read(place)
    if owner is not None and not owner.is_like(me):
        there = f"{owner.folder} on {owner.host}"
        if owner.study != me.study:
            raise StudyError(
                f"{place.root} belongs to another study, {there}: give another --storage or --name, or "
                "delete what is there"
            )
        if owner.session not in known:
            raise StudyError(
                f"{place.root} belongs to this study as it went on in {there}, of which {folder} is a copy: "
                f"go on there, or delete {place.root}/{NAME} to go on here"
            )
    place.write(NAME, json.dumps(dataclasses.asdict(me)).encode())


def _read(place: Storage) -> _Owner | None:
    """The owner; None of a place that has none, or had it before there were such files."""
    content = place.read(NAME)
    if content is None:
        return None
    try:
        values = json.loads(content)
        return _Owner(**{field.name: str(values[field.name]) for field in dataclasses.fields(_Owner)})
    except (ValueError, TypeError, KeyError, RecursionError):
        place.set_aside(NAME, "is damaged")
        return None
