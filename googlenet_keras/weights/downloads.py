"""Downloads published weight files, resuming interrupted downloads, verifies them, and converts each of them once."""

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

# The version of the conversion. Increase it whenever the result changes, so that every file is converted again.
CONVERSION = 1

_CHUNK = 1 << 20  # bytes
_TIMEOUT = (15, 60)  # seconds, to connect and between two packets
# The number of consecutive attempts without any new byte after which the next host is tried.
_TRIES = 3


class DownloadError(RuntimeError):
    """Raised when no host delivers the published file."""


class _RefusedError(Exception):
    """Raised when the file that a host sends is not the expected one."""


def downloads_folder() -> Path:
    """Returns the folder of downloads: ``googlenet_keras`` in KERAS_HOME, or in ``~/.keras``."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "googlenet_keras"


def download(published: PublishedWeights) -> Path:
    """Returns a published file, and downloads it from the first host that delivers it if it is not on this machine.

    An interrupted download is resumed. If two processes need the same file, one waits for the other.

    Args:
        published: Weights that have a URL.

    Returns:
        The path of the file, whose checksum has been verified.

    Raises:
        ValueError: If a different file exists at this path.
        RuntimeError: If no host delivers the file. It is a `DownloadError`, whose message says how to get the file
            manually.
        OSError: If the folder is not writable.
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
            f"The weights cannot be downloaded: download {published.url} on another machine and save it here as "
            f"{target}, or convert it with python -m googlenet_keras.convert FILE --model {published.model} --output "
            f"NAME.weights.h5. Errors: {'; '.join(reasons)}"
        )


def converted(published: PublishedWeights) -> Path:
    """Returns the converted weight file, after downloading and converting the published file if necessary.

    Args:
        published: Weights that have a URL.

    Returns:
        The path of the converted file. If that file already exists and is unchanged, nothing is written and no network
        connection is needed.

    Raises:
        ValueError, RuntimeError, OSError: As for `download`, or if the file cannot be converted.
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
    """Returns True if the converted file exists and is unchanged; its checksum is verified once per process."""
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
        requests.RequestException, urllib3.exceptions.HTTPError or _RefusedError: If the host does not deliver it.
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
            # The start of the file may be left over from another version, so a complete download may be correct.
            _forget(part)
            if whole:
                raise _RefusedError(f"another file: its size or checksum is wrong, expected {published.checksum}")
    part.replace(target)
    _forget(part)


def _fetch(url: str, published: PublishedWeights, part: Path, show: Callable[[int, int | None], None]) -> bool:
    """Downloads the missing rest of a file, or the complete file if there is nothing to resume.

    Returns:
        True if the complete file came from this one response.
    """
    begun = had = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={begun}-", **_condition(part, url)}
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if begun and answer.status_code == requests.codes.requested_range_not_satisfiable:
            return False  # nothing is missing, or the partial file belongs to another version
        answer.raise_for_status()
        goes_on = answer.status_code == requests.codes.partial_content
        if goes_on and not answer.headers.get("Content-Range", "").startswith(f"bytes {had}-"):
            raise _RefusedError(f"a part that was not requested: {answer.headers.get('Content-Range')}")
        had = had if goes_on else 0
        length = answer.headers.get("Content-Length", "")
        announced = had + int(length) if length.isdigit() else None
        if None not in (announced, published.size) and announced != published.size:
            raise _RefusedError(f"a file of {announced} bytes instead of {published.size}")
        _note_part(part, url, answer.headers)
        with part.open("ab" if goes_on else "wb") as file:
            for chunk in answer.raw.stream(_CHUNK, decode_content=False):
                file.write(chunk)
                had += len(chunk)
                show(had, announced)
                if published.size is not None and had > published.size:
                    raise _RefusedError(f"more than the expected {published.size} bytes")
    return not (goes_on and begun)


def _part_note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _note_part(part: Path, url: str, headers: requests.structures.CaseInsensitiveDict[str]) -> None:
    """Saves the host's identifier for this version of the file."""
    etag = headers.get("ETag", "")
    version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    with replacing(_part_note(part)) as aside:
        aside.write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")


def _condition(part: Path, url: str) -> dict[str, str]:
    """Returns the header that makes a host resume a download only if the file is still the same version."""
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
    """Returns a few words that say why a host did not deliver the file."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"status {error.response.status_code}"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, requests.Timeout):
        return "no response in time"
    if isinstance(error, urllib3.exceptions.HTTPError):
        return "connection interrupted"
    return str(error)


@contextlib.contextmanager
def _progress(name: str, size: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a progress bar on a terminal, or prints a line from time to time elsewhere.

    Yields:
        A function that takes the number of bytes so far and the total number of bytes.
    """
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
