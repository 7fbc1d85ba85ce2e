"""Writing aside and putting in place: what was there before a failure is there after it."""

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

# Of <linux/fs.h> and <fcntl.h>.
_RENAME_EXCHANGE = 2
_AT_FDCWD = -100
_WAIT = 0.1  # seconds, before a lock is tried again

# What this process has put in place so far, in order: what a command that is interrupted can truthfully say.
placed: list[Path] = []


class Publication:
    """A set of files and folders made aside and then put in place together.

    Everything is written below `aside`. `publish` first makes it durable and then gives it one name that says "whole":
    from there on it is carried through, by this process or, should it die, by the next one that opens a publication of
    the same name. Each file and folder is at any moment wholly the old or wholly the new one.

    Attributes:
        folder: The folder of the files.
        name: The common name of the files; it is part of the hidden names beside them.
        aside: The folder to write below, empty at first.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.aside = folder / f".{name}.partial"
        self._whole = folder / f".{name}.whole"

    def publish(self) -> None:
        """Puts everything below `aside` in place, replacing what is there.

        Raises:
            OSError: If the disk refuses.
        """
        # A rename keeps the inode: who carries this on can tell what is in place already.
        inodes = {path.name: path.stat().st_ino for path in self.aside.iterdir()}
        (self.aside / "inodes.json").write_text(json.dumps(inodes))
        _make_durable(self.aside)
        with _uninterrupted():
            self.aside.rename(self._whole)
            _sync(self.folder)
            self._put_in_place()
            placed.extend(self.folder / name for name in inodes)

    def _put_in_place(self) -> None:
        """Carries a whole publication through; safe to repeat from any point."""
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
            # A signal that came in here is raised again only once what is to be undone is known.
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
    """Names a file beside another, and puts it in the other's place once it is wholly on the disk.

    Args:
        path: The file or folder to write or replace; it is untouched if the block fails.

    Yields:
        The path to write to; its name ends as that of ``path`` does.

    Raises:
        OSError: If the disk refuses.
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
    """Opens the file that `replacing` names.

    Args:
        path: The file or folder to write or replace; it is untouched if the block fails.

    Yields:
        The file to write to.

    Raises:
        OSError: If the disk refuses.
    """
    with replacing(path) as aside, aside.open("wb") as file:
        yield file


@contextlib.contextmanager
def output_folder(path: Path) -> Iterator[None]:
    """Makes a folder that can be written to; if the block fails, folders that were made for it and are empty are gone.

    Args:
        path: The folder; those above it are made too.

    Raises:
        OSError: If it cannot be made, or no file can be made in it: before the block's work and not after it.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
        # Permissions do not tell of a read-only or full disk, nor of the superuser.
        with tempfile.TemporaryFile(dir=path):
            pass
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty, or could not be made
                folder.rmdir()
        raise


def tree_size(path: Path) -> int:
    """Bytes in a file, or in all the files below a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def _replace(made: Path, target: Path) -> None:
    """Puts a file or folder in another's place; the other, if a folder, is where the first was."""
    if not target.is_dir():
        made.replace(target)
        return
    try:
        _exchange(made, target)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
        # No exchange on this system: for a moment there is neither.
        target.rename(made.with_name(f"{made.name}.old"))
        made.rename(target)


def _exchange(one: Path, other: Path) -> None:
    """Swaps two paths in one step, which only Linux offers and Python does not wrap."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        raise OSError(errno.ENOSYS, "no renameat2 here") from None
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Holds a lock file for as long as the block runs, and takes it away afterwards.

    Raises:
        BlockingIOError: If another process holds it.
    """
    if sys.platform == "win32":  # which has no such locks
        yield
        return
    while True:
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BlockingIOError(f"Another process is writing there; wait for it to end: {str(path)!r}") from None
            # Its last holder may have taken away the file that we have just locked.
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Holds a lock file for as long as the block runs, after whoever holds it now has let it go.

    Args:
        path: The file, in a folder that can be written to; it is gone afterwards.

    Raises:
        OSError: If it cannot be written.
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
    """Holds SIGINT and SIGTERM back until the block has ended: it takes moments, and must not be left half done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python runs its handlers in the main thread alone
        return
    held: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A handler that is None is not Python's, and could not be put back.
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
    """Waits until a file's bytes or a folder's entries are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
