"""Files of a study that its trials write: on a disk, a shared mount, or any URI that pyarrow opens.

A URI may end in options of its file system: `s3://bucket/study?region=eu-west-1`, or
`s3://bucket/study?endpoint_override=minio:9000&scheme=http` for a server of one's own. Credentials
are found where the file system's own tools find them (for S3 the environment, ~/.aws, the role of the
machine), on every node.

Every write is atomic, so a reader finds the old content or the new: on disks by writing beside and
renaming, on object stores because an object appears only when its upload is complete.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from pathlib import Path

from pyarrow import ArrowException, fs

from dcreid.disk import located
from study.errors import StorageError, first_line

_PATIENCE = 15.0  # seconds for a first answer
_log = logging.getLogger("dcreid.study")


class Storage:
    """Named byte strings under one root; names may contain slashes."""

    def __init__(self, root: str):
        self.root = root
        self._fs: fs.FileSystem = fs.LocalFileSystem()
        self._base = str(Path(root).resolve())
        try:
            if "://" in root:
                self._fs, self._base = fs.FileSystem.from_uri(root)
        except (OSError, ValueError, TypeError, ArrowException) as error:
            raise StorageError(
                f"--storage {root}: not a folder or a URI that pyarrow opens "
                f"({first_line(error, type(error).__name__)})"
            ) from None

    def local(self, name: str) -> Path | None:
        """The file of a name where the storage is a disk; None where it is an object store."""
        return Path(self._base, name) if isinstance(self._fs, fs.LocalFileSystem) else None

    def check(self) -> None:
        """Writes, reads and deletes a file. Raises StorageError: no such bucket, no credentials, full, …"""
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(self._wrong()), daemon=True)
        thread.start()
        thread.join(_PATIENCE)  # some file systems look for credentials for a quarter of an hour
        wrong = found[0] if found else f"no answer within {_PATIENCE:g} s; are there credentials?"
        if wrong:
            raise StorageError(f"--storage {self.root}: cannot be written ({wrong})")

    def _wrong(self) -> str:
        """What happens to a file that is written, read and deleted; empty if all is well."""
        name = f"check-{socket.gethostname()}-{os.getpid()}"
        try:
            self.write(name, b"dcreid")
            kept = self.read(name)
            self.delete(name)
        except (OSError, ArrowException) as error:
            return first_line(error, type(error).__name__)
        return "" if kept == b"dcreid" else "what is written there does not come back"

    def write(self, name: str, content: bytes) -> None:
        """Stores `content` under `name`, whole or not at all. Raises OSError (disk full, mount gone)."""
        path = f"{self._base}/{name}"
        if not isinstance(self._fs, fs.LocalFileSystem):
            with self._fs.open_output_stream(path) as stream:
                stream.write(content)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.{socket.gethostname()}.{os.getpid()}.partial")
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, target)
        except OSError as error:
            raise located(error, target, len(content)) from None
        finally:
            beside.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """The content of `name`; None where there is none."""
        try:
            with self._fs.open_input_stream(f"{self._base}/{name}") as stream:
                content: bytes = stream.read()
                return content
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Names of the files directly under the root, sorted."""
        found = self._fs.get_file_info(fs.FileSelector(self._base, allow_not_found=True))
        files = [info.base_name for info in found if info.type == fs.FileType.File]
        return sorted(name for name in files if not name.startswith("."))

    def clean(self) -> None:
        """Removes what writers that were killed have left under the root."""
        if isinstance(self._fs, fs.LocalFileSystem):
            for left in Path(self._base).glob(".*.partial"):
                left.unlink(missing_ok=True)

    def set_aside(self, name: str, why: str) -> None:
        """Gives a file that cannot be used another name, and says so. It is left where that is refused."""
        kept = f"{name}.set-aside"
        with contextlib.suppress(OSError):
            if isinstance(self._fs, fs.LocalFileSystem):
                os.replace(Path(self._base, name), Path(self._base, kept))
            else:
                self._fs.move(f"{self._base}/{name}", f"{self._base}/{kept}")
        _log.warning("%s/%s %s and is not used; it is kept as %s", self.root, name, why, kept)

    def pass_over(self, name: str, why: str) -> None:
        """Says that a file is not used; for readers, who change nothing in a study."""
        _log.warning("%s/%s %s and is left out", self.root, name, why)

    def delete(self, name: str) -> None:
        """Removes `name` if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.delete_file(f"{self._base}/{name}")
