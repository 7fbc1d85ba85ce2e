"""Writes files to temporary paths and then moves them into place, so that a failure does not damage existing files."""

import contextlib
import ctypes
import errno
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

# Constants of <linux/fs.h> and <fcntl.h>.
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_WAIT = 0.1  # seconds until a lock is tried again

# The paths that this process has put in place so far, in order, so that an interrupted command can list them.
placed: list[Path] = []


class Publication:
    """A set of files and folders that are written to a temporary folder and then put in place together.

    Everything is written below `aside`. `publish` first waits until all of it is on the disk, and then renames the
    folder to mark it as complete. From then on, the publication will be finished by this process or, if it dies, by the
    next process that opens a publication of the same name. At any moment, each file and folder is either the complete
    old one or the complete new one.

    Attributes:
        folder: The folder of the files.
        name: The common name of the files, from which the names of the hidden folders beside them are derived.
        aside: The temporary folder to write to; it is empty at first.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.aside = folder / f".{name}.partial"
        self._whole = folder / f".{name}.whole"

    def publish(self) -> None:
        """Moves everything in `aside` to `folder`, and replaces the files and folders of the same names there.

        Raises:
            OSError: If a file cannot be written or renamed.
        """
        # A rename keeps the inode, so a process that finishes this publication can tell what is in place already.
        inodes = {path.name: path.stat().st_ino for path in self.aside.iterdir()}
        (self.aside / "inodes.json").write_text(json.dumps(inodes))
        _make_durable(self.aside)
        with _uninterrupted():
            self.aside.rename(self._whole)
            _sync(self.folder)
            self._put_in_place()
            placed.extend(self.folder / name for name in inodes)

    def _put_in_place(self) -> None:
        """Finishes a complete publication. This can be repeated safely after an interruption at any point."""
        if not self._whole.exists():
            return
        inodes = self._whole / "inodes.json"
        if inodes.exists():
            for name, inode in json.loads(inodes.read_text()).items():
                made, target = self._whole / name, self.folder / name
                if made.exists() and not (target.exists() and target.stat().st_ino == inode):
                    _replace(made, target)
            _sync(self.folder)
            inodes.unlink()
        shutil.rmtree(self._whole)

    def __enter__(self) -> "Publication":
        with contextlib.ExitStack() as opened:
            # A signal that arrives here is raised again only after the clean-up has been registered.
            with _uninterrupted():
                opened.enter_context(_lock(self.folder / f".{self.name}.lock"))
                self._put_in_place()
                shutil.rmtree(self.aside, ignore_errors=True)
                self.aside.mkdir()
                opened.callback(shutil.rmtree, self.aside, ignore_errors=True)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        with _uninterrupted():
            self._opened.close()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Provides a temporary path beside a file, and moves it in place of the file after everything is on the disk.

    Args:
        path: The file or folder to write or replace; it stays unchanged if the block fails.

    Yields:
        The path to write to; its name ends like that of ``path``.

    Raises:
        OSError: If the file cannot be written or renamed.
    """
    aside = path.with_name(f".partial.{path.name}")
    try:
        yield aside
        _sync(aside)
        aside.replace(path)
        placed.append(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[IO[bytes]]:
    """Opens the temporary file of `replacing` for writing.

    Args:
        path: The file to write or replace; it stays unchanged if the block fails.

    Yields:
        The file to write to.

    Raises:
        OSError: If the file cannot be written or renamed.
    """
    with replacing(path) as aside, aside.open("wb") as file:
        yield file


@contextlib.contextmanager
def output_folder(path: Path) -> Iterator[None]:
    """Creates a writable folder; if the block fails, the folders that were created and are still empty are deleted.

    Args:
        path: The folder; missing folders above it are created too.

    Raises:
        OSError: If the folder cannot be created or is not writable. This is checked before the block runs.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Permissions do not show whether a disk is read-only or full, and do not apply to the superuser.
        with tempfile.TemporaryFile(dir=path):
            pass
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty, or could not be created
                folder.rmdir()
        raise


def tree_size(path: Path) -> int:
    """Returns the number of bytes in a file, or in all files below a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _replace(made: Path, target: Path) -> None:
    """Moves a file or folder in place of another one; a replaced folder is left in the folder of the new one."""
    if not target.is_dir():
        made.replace(target)
        return
    try:
        _exchange(made, target)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
        # This system cannot exchange two paths, so the target does not exist for a moment.
        target.rename(made.with_name(f"{made.name}.old"))
        made.rename(target)


def _exchange(one: Path, other: Path) -> None:
    """Exchanges two paths in one step, with a system call that only Linux has and that Python does not provide."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        raise OSError(errno.ENOSYS, "renameat2 is not available") from None
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Locks a file while the block runs, and deletes the file afterwards.

    Raises:
        BlockingIOError: If another process holds the lock.
    """
    if sys.platform == "win32":  # Windows has no such locks
        yield
        return
    while True:
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(
                    f"Another process is writing the same files; wait until it has ended. Its lock file: {str(path)!r}"
                ) from None
            # The previous holder may have deleted the file that we have just locked.
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Locks a file while the block runs, and first waits until no other process holds the lock.

    Args:
        path: The file, in a writable folder; it is deleted afterwards.

    Raises:
        OSError: If the file cannot be written.
    """
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(_lock(path))
                break
            except BlockingIOError:
                time.sleep(_WAIT)
        yield


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Delays SIGINT and SIGTERM until the block has ended, because the block is short and must not be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs signal handlers in the main thread only
        return
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A handler that is None was not installed from Python, and Python could not restore it.
    handlers = {number: handler for number, handler in handlers.items() if handler is not None}
    for number in handlers:
        signal.signal(number, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for caught in held:
            signal.raise_signal(caught)


def _make_durable(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        _sync(path)


def _sync(path: Path) -> None:
    """Waits until the bytes of a file, or the entries of a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
