"""Room on disks: taken before it is written to, and told with path, need and what there is."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import IO

_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG}
# What file systems say that cannot allocate in advance: there the bytes themselves have to do.
_CANNOT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def size_text(size: int) -> str:
    """A number of bytes as people say it: 600 bytes, 1.5 MiB."""
    value = float(size)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{size:,} bytes" if unit == "bytes" else f"{value:.1f} {unit}"


def allocate(file: IO[bytes], size: int) -> None:
    """Takes the room that a file is going to need, where its file system can. Raises OSError: no room."""
    if size and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise


def located(error: OSError, path: Path, needed: int) -> OSError:
    """The error with the file that it is about and, for want of room, the bytes needed and free."""
    said = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        said += f" ({size_text(needed)} needed"
        with suppress(OSError):
            said += f", {size_text(shutil.disk_usage(path.parent).free)} free"
        said += ")"
    elif error.filename is not None:
        return error
    return OSError(error.errno, said, str(path))
