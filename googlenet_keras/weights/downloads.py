"""Published weight files onto this machine: downloaded where it broke off, verified, and converted once."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import requests
import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from googlenet_keras.files import output_folder, replacing, waiting_lock, write_aside
from googlenet_keras.progress import shows_bars, status
from googlenet_keras.weights.catalogue import PublishedWeights, file_digest

# What a conversion makes of a file; another number where that changes, and every file is converted again.
CONVERSION = 1

_CHUNK = 1 << 20  # bytes
_TIMEOUT = (15, 60)  # seconds, to connect and between two packets
# So often a host may break off without a byte more before the next is asked.
_TRIES = 3


class DownloadError(RuntimeError):
    """No host gave the file that was published."""


class _RefusedError(Exception):
    """Raised when the file that a host sends is not the expected one."""


def downloads_folder() -> Path:
    """Returns the folder of downloads: ``googlenet_keras`` in KERAS_HOME, or in ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "googlenet_keras"


def download(published: PublishedWeights) -> Path:
    """The file as it was published, from this machine or from the first host that has it.

    A download that broke off goes on where it did. Two processes that want the same file wait for each other.

    Args:
        published: Weights that have an address.

    Returns:
        The file, whose checksum is right.

    Raises:
        ValueError: If another file is in its place.
        RuntimeError: If no host gives it: a `DownloadError`, which says how to bring it here by hand.
        OSError: If the folder cannot be written to.
    """
    folder = downloads_folder()
    target = folder / published.file
    if _is_there(published, target):
        return target
    with output_folder(folder), waiting_lock(folder / f".{published.file}.lock"):
        if _is_there(published, target):
            return target
        reasons = []
        for url in filter(None, (published.url, *published.mirrors)):
            try:
                _download_from(url, published, target)
                return target
            except (requests.RequestException, urllib3.exceptions.HTTPError, _RefusedError) as error:
                reasons.append(f"{url} ({_reason(error)})")
        raise DownloadError(
            f"The weights cannot be downloaded: fetch {published.url} where that works and put it here as {target}, or "
            f"make a weight file of it with python -m googlenet_keras.convert FILE --model {published.model} --output "
            f"NAME.weights.h5. What the hosts said: {'; '.join(reasons)}"
        )


def converted(published: PublishedWeights) -> Path:
    """The weight file of this package that is made of a published file, once.

    Args:
        published: Weights that have an address.

    Returns:
        The file, which is as it was made; nothing is written and no network is needed where that is so already.

    Raises:
        ValueError, RuntimeError, OSError: As `download` does, or if the file cannot be converted.
    """
    made = downloads_folder() / f"{published.model}.{published.name.replace('/', '_')}.weights.h5"
    if _is_made(published, made):
        return made
    from googlenet_keras.weights.conversion import convert_weights

    with output_folder(made.parent), waiting_lock(made.with_name(f".{made.name}.lock")):
        if _is_made(published, made):
            return made
        original = download(published)
        with status(f"converting {original.name}"):
            convert_weights(original, made, published.model, source=published.source)
        with write_aside(_note_of(made)) as note:
            note.write(json.dumps({**_origin(published), "sha256": file_digest(made)}).encode())
    return made


_made: set[tuple[str, Path, int]] = set()


def _is_made(published: PublishedWeights, made: Path) -> bool:
    """True if a conversion exists and is unchanged; it is read whole and checked once in a process."""
    try:
        note = json.loads(_note_of(made).read_text(encoding="utf-8"))
        known = (published.checksum, made, made.stat().st_mtime_ns)
        if note != {**_origin(published), "sha256": note["sha256"]}:
            return False
        if known not in _made and file_digest(made) != note["sha256"]:
            return False
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return False
    _made.add(known)
    return True


def _note_of(made: Path) -> Path:
    return made.with_name(f"{made.name}.json")


def _origin(published: PublishedWeights) -> dict[str, str | int]:
    return {"of": published.checksum, "conversion": CONVERSION}


def _is_there(published: PublishedWeights, target: Path) -> bool:
    if not target.is_file():
        return False
    if not published.is_file(target):
        raise ValueError(
            f"The file is not the one that was published at {published.url} ({published.checksum}): remove it. "
            f"Received: {str(target)!r}"
        )
    return True


def _download_from(url: str, published: PublishedWeights, target: Path) -> None:
    """Fetches a file from one host, verifies it and puts it in place.

    Raises:
        requests.RequestException, urllib3.exceptions.HTTPError or _RefusedError: If that host does not give it.
    """
    part = target.with_name(f".{target.name}.part")
    tries = 0
    with _progress(target.name, published.size) as show:
        while True:
            had = _size(part)
            try:
                whole = _fetch(url, published, part, show)
            except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError):
                tries = 0 if _size(part) > had else tries + 1
                if tries == _TRIES:
                    raise
                continue
            if published.is_file(part):
                break
            # What an earlier download left may be of another file; the same from the start may be right.
            _forget(part)
            if whole:
                raise _RefusedError(f"another file: its size or checksum is not {published.checksum}")
    part.replace(target)
    _forget(part)


def _fetch(url: str, published: PublishedWeights, part: Path, show: Callable[[int, int | None], None]) -> bool:
    """Asks a host for what is missing of a file, or for all of it, and appends that.

    Returns:
        Whether all of it came from this one answer.
    """
    begun = had = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-", **_condition(part, url)}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if begun and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return False  # nothing is missing, or the file is another
        answer.raise_for_status()
        goes_on = answer.status_code == requests.codes.partial_content
        if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {had}-"):
            raise _RefusedError(f"another part than was asked for: {answer.headers.get('Content-Range')}")
        had = had if goes_on else 0
        length = answer.headers.get("Content-Length", "")
        announced = had + int(length) if length.isdigit() else None
        if None not in (announced, published.size) and announced != published.size:
            raise _RefusedError(f"a file of {announced} bytes and not of {published.size}")
        _note_part(part, url, answer.headers)
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                had += len(chunk)
                show(had, announced)
                if published.size is not None and had > published.size:
                    raise _RefusedError(f"more than the {published.size} bytes of the file")
    return not (goes_on and begun)


def _part_note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note_part(part: Path, url: str, headers: requests.structures.CaseInsensitiveDict[str]) -> None:
    """Keeps what the host calls this version of the file."""
    etag = headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    with replacing(_part_note(part)) as aside:
        aside.write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")


def _condition(part: Path, url: str) -> dict[str, str]:
    """The header by which a host goes on only with the version that was begun."""
    try:
        note = json.loads(_part_note(part).read_text(encoding="utf-8"))
        return {"If-Range": note["version"]} if note["url"] == url and note["version"] else {}
    except (OSError, KeyError, TypeError, ValueError):
        return {}


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _part_note(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    """Why a host did not give the file, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "broken off"
    return str(error)


@contextlib.contextmanager
def _progress(name: str, size: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on a terminal, and otherwise a line from time to time; the function takes the bytes so far and in all."""
    console = Console(stderr=True)
    if not shows_bars(console):
        with status(f"downloading {name}") as say:
            yield lambda done, total: say(f"downloading {name}: {done / 1e6:.0f} of {_megabytes(size or total)} MB")
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(name, total=size)
        yield lambda done, total: bar.update(task, completed=done, total=size or total)


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:.0f}"
