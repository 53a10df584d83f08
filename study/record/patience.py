"""Waits while a storage does not answer: with growing pauses, for a limited time, and not in silence."""

from __future__ import annotations

import errno
import re
import time
from collections.abc import Callable
from typing import TypeVar

from study.errors import StorageError, first_line
from study.record.storage import Storage

_FIRST, _LONGEST = 1.0, 60.0  # seconds of a pause
_FOR_GOOD = 10.0  # seconds that are waited where nothing is going to change
_LASTING = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.EINVAL, errno.EBADF),
}
_REFUSED = re.compile(
    r"ACCESS.?DENIED|FORBIDDEN|NO.?SUCH.?BUCKET|INVALID.?ACCESS.?KEY|SIGNATURE|credentials", re.I
)
Result = TypeVar("Result")


class Patience:
    """Calls that fail with an OSError or StorageError are made again until they succeed, or time is up.

    seconds: that one outage may last. tell: hears the error before every pause, and None when it is over.
    longest: seconds of a pause.
    """

    def __init__(
        self,
        seconds: float,
        tell: Callable[[str | None], None] = lambda error: None,
        sleep: Callable[[float], None] | None = None,
        longest: float = _LONGEST,
    ):
        self.seconds, self._tell, self._sleep = seconds, tell, sleep or time.sleep
        self._longest = min(longest, _LONGEST)

    def __call__(self, call: Callable[[], Result]) -> Result:
        """What the call returns. Raises its error once there is no patience left."""
        waited, pause = 0.0, min(_FIRST, self._longest)
        while True:
            try:
                result = call()
            except (OSError, StorageError) as error:
                left = self._limit(error) - waited
                if left <= 0:
                    raise
                self._tell(first_line(error, type(error).__name__))
                self._sleep(min(pause, left))
                waited, pause = waited + min(pause, left), min(2 * pause, self._longest)
            else:
                if waited:
                    self._tell(None)
                return result

    def _limit(self, error: OSError | StorageError) -> float:
        lasting = getattr(error, "errno", None) in _LASTING or _REFUSED.search(str(error))
        return min(self.seconds, _FOR_GOOD) if lasting else self.seconds


class PatientStorage(Storage):
    """A storage all of whose operations are waited for."""

    def __init__(self, root: str, patience: Patience):
        self._patience = patience
        patience(lambda: super(PatientStorage, self).__init__(root))

    def write(self, name: str, content: bytes) -> None:
        self._patience(lambda: super(PatientStorage, self).write(name, content))

    def read(self, name: str) -> bytes | None:
        return self._patience(lambda: super(PatientStorage, self).read(name))

    def names(self) -> list[str]:
        return self._patience(lambda: super(PatientStorage, self).names())

    def clean(self) -> None:
        self._patience(lambda: super(PatientStorage, self).clean())

    def delete(self, name: str) -> None:
        self._patience(lambda: super(PatientStorage, self).delete(name))
