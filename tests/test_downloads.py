"""Tests that published files are downloaded completely or not at all and converted once, with a local server."""

import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading
import time

import numpy as np
import pytest

from googlenet_keras import create_model, read_card
from googlenet_keras.images.preprocessing import ZERO_TO_ONE
from googlenet_keras.weights import PublishedWeights, catalogue, downloads
from googlenet_keras.weights.downloads import DownloadError, converted, download

CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 3_000_000, "uint8"))


class Host(http.server.ThreadingHTTPServer):
    """A server that provides files, with the faults that a test chooses.

    Attributes:
        files: The content of the file at each path.
        asked: The path, Range and If-Range of every request.
        cut: The numbers of bytes after which to close the connection; every response removes one from the list.
        ranges: Whether the server supports range requests.
        announced: The length that a response announces; None means the true length.
        etag: The ETag of its files.
        delay: The seconds before the content of a response is sent.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked, self.cut = {}, [], []
        self.ranges, self.announced, self.etag, self.delay = True, None, '"one"', 0

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host = self.server
        condition = self.headers.get("If-Range")
        host.asked.append((self.path[1:], self.headers.get("Range"), condition))
        content = host.files.get(self.path[1:])
        if content is None:
            self.send_error(404)
            return
        start = 0
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if wanted and host.ranges and condition in (None, host.etag):
            start = int(wanted[1])
            if start >= len(content):
                self.send_error(416)
                return
        rest = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(host.announced or len(rest)))
        self.send_header("ETag", host.etag)
        self.end_headers()
        if host.cut:
            rest = rest[: host.cut.pop(0)]
        time.sleep(host.delay)
        with contextlib.suppress(ConnectionError):  # the client may have closed the connection
            self.wfile.write(rest)
        self.close_connection = True

    def log_message(self, *_):
        pass


@pytest.fixture
def host():
    with Host() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home" / "googlenet_keras"


@pytest.fixture
def published(host):
    host.files["weights.bin"] = CONTENT
    return PublishedWeights(
        model="mnist_inception",
        name="imagenet/test",
        file="weights.bin",
        url=host.url("weights.bin"),
        size=len(CONTENT),
        checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
    )


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha384"])
def test_a_download_is_verified_and_kept(host, published, home, algorithm):
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    known = dataclasses.replace(published, checksum=f"{algorithm}:{digest}", size=None)
    path = download(known)
    assert path == home / "weights.bin"
    assert path.read_bytes() == CONTENT
    assert download(known) == path
    assert len(host.asked) == 1
    assert files_in(home) == ["weights.bin"]


def test_the_first_digits_of_a_checksum_are_enough(published):
    assert download(dataclasses.replace(published, checksum=published.checksum[: len("sha256:") + 8], size=None))


def test_it_goes_on_where_it_broke_off(host, published, home):
    """An interrupted download of 500 MB must continue where it stopped, not start again."""
    host.cut = [1_000_000, 500_000]
    assert download(published).read_bytes() == CONTENT
    ranges = [wanted for _, wanted, _ in host.asked]
    assert ranges[0] is None
    begun = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in ranges[1:]]
    assert len(begun) == 2
    assert 0 < begun[0] <= 1_000_000 < begun[1] <= 1_500_000
    assert [condition for _, _, condition in host.asked] == [None, '"one"', '"one"']
    assert files_in(home) == ["weights.bin"]


def test_another_process_goes_on_where_one_was_killed(host, published, home, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    home.mkdir(parents=True)
    part = home / ".weights.bin.part"
    monkeypatch.setattr(PublishedWeights, "is_file", killed)
    with pytest.raises(KeyboardInterrupt):
        download(published)
    monkeypatch.undo()
    monkeypatch.setenv("KERAS_HOME", str(home.parent))
    part.write_bytes(CONTENT[:1_234_567])
    host.asked.clear()
    assert download(published).read_bytes() == CONTENT
    assert host.asked == [("weights.bin", "bytes=1234567-", '"one"')]


def test_a_part_of_another_version_is_not_gone_on_with(host, published, home):
    """If the publisher has replaced the file meanwhile, the rest of the new one must not be added to the old part."""
    host.files["weights.bin"] = bytes(len(CONTENT))
    host.cut = [1_000_000, 0, 0, 0]
    with pytest.raises(DownloadError, match=r"no connection|connection interrupted"):
        download(published)
    assert files_in(home) == [".weights.bin.part", ".weights.bin.part.json"]
    host.files["weights.bin"], host.etag = CONTENT, '"two"'
    assert download(published).read_bytes() == CONTENT
    assert files_in(home) == ["weights.bin"]


@pytest.mark.parametrize("left", [CONTENT, bytes(1000), bytes(len(CONTENT)), bytes(len(CONTENT) + 10)], ids=len)
def test_whatever_was_left_behind_the_file_is_right(published, home, left):
    """Nothing that an interrupted run has left is trusted, neither a complete part nor zeros from a full disk."""
    home.mkdir(parents=True)
    (home / ".weights.bin.part").write_bytes(left)
    assert download(published).read_bytes() == CONTENT
    assert files_in(home) == ["weights.bin"]


def test_a_host_without_ranges(host, published):
    host.ranges = False
    host.cut = [1_000_000]
    assert download(published).read_bytes() == CONTENT


def wrong_length(host):
    host.announced = len(CONTENT) + 1


def wrong_content(host):
    host.files["weights.bin"] = CONTENT[:-1] + b"x"


def longer(host):
    host.files["weights.bin"] += b"x"


def gone(host):
    del host.files["weights.bin"]


def always_cut(host):
    host.cut = [0] * 100


FAULTS = [
    (wrong_length, "a file of 3000001 bytes instead of 3000000"),
    (wrong_content, "another file: its size or checksum is wrong, expected sha256:"),
    (longer, "a file of 3000001 bytes"),
    (gone, "status 404"),
    (always_cut, "connection interrupted|no connection"),
]


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_wrong_file_leaves_nothing_to_trust(host, published, home, fault, said):
    fault(host)
    with pytest.raises(DownloadError, match=said) as error:
        download(published)
    message = str(error.value)
    assert "\n" not in message
    # Users without a network need the URL, the path to save the file at, and the command that converts it.
    assert f"download {published.url} on another machine and save it here as {home / 'weights.bin'}" in message
    assert "python -m googlenet_keras.convert FILE --model mnist_inception --output" in message
    assert not home.exists() or not [name for name in files_in(home) if not name.startswith(".")]
    host.files["weights.bin"], host.announced, host.cut = CONTENT, None, []
    assert download(published).read_bytes() == CONTENT


@pytest.mark.parametrize(("fault", "said"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_a_mirror_is_asked_next(host, published, fault, said):
    with Host() as other:
        threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        other.files["copy.bin"] = CONTENT
        fault(host)
        known = dataclasses.replace(published, mirrors=(other.url("copy.bin"),))
        assert download(known).read_bytes() == CONTENT
        assert other.asked
        other.shutdown()


def test_a_mirror_goes_on_with_what_the_first_host_gave(host, published):
    host.cut = [1_000_000, 0, 0, 0]
    host.files["mirror.bin"] = CONTENT
    assert download(dataclasses.replace(published, mirrors=(host.url("mirror.bin"),))).read_bytes() == CONTENT
    path, wanted, condition = host.asked[-1]
    # Another host may have another ETag for the same file, so only the checksum can verify it.
    assert (path, condition) == ("mirror.bin", None)
    assert wanted not in (None, "bytes=0-")


def test_no_network(published):
    """Without a network, the error is one line and not the hundred lines of the libraries."""
    unreachable = dataclasses.replace(published, url="http://127.0.0.1:9/weights.bin")
    with pytest.raises(DownloadError, match=r"9/weights.bin \(no connection\)"):
        download(unreachable)


def test_a_file_put_there_by_hand(host, published, home):
    home.mkdir(parents=True)
    (home / "weights.bin").write_bytes(CONTENT)
    assert download(published).read_bytes() == CONTENT
    (home / "weights.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match=r"is not the one that was published at .*: remove it"):
        download(published)
    assert not host.asked


def test_two_at_once(host, published):
    """The second of two simultaneous downloads waits for the first and uses its file."""
    host.delay = 0.3
    found, errors = [], []

    def fetch():
        try:
            found.append(download(published).read_bytes() == CONTENT)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, errors) == ([True, True], [])
    assert len(host.asked) == 1


@pytest.fixture
def row(host, tmp_path, monkeypatch):
    """Returns a small network and the record of its weights, the only ones in the table of published weights."""
    model = create_model("mnist_inception", classes=10)
    model.save_weights(tmp_path / "theirs.weights.h5")
    content = (tmp_path / "theirs.weights.h5").read_bytes()
    host.files["theirs.weights.h5"] = content
    known = PublishedWeights(
        model="mnist_inception",
        name="imagenet/test",
        file="theirs.weights.h5",
        url=host.url("theirs.weights.h5"),
        checksum=f"md5:{hashlib.md5(content).hexdigest()}",
        preprocessing=ZERO_TO_ONE,
        licence="free",
        top1=0.5,
        dataset="mnist",
    )
    monkeypatch.setattr(catalogue, "PUBLISHED", (known,))
    return model, known


def made_file(home):
    return home / "mnist_inception.imagenet_test.weights.h5"


def test_weights_by_name(host, row, home):
    """A name is enough to build the published model, with the network's usual arguments and a single download."""
    theirs, known = row
    images = np.random.default_rng(0).uniform(0, 1, (2, 28, 28, 1))
    for name in ("imagenet/test", "imagenet"):
        ours = create_model("mnist_inception", weights=name)
        np.testing.assert_array_equal(ours(images), theirs(images))
    assert len(host.asked) == 1
    card = read_card(made_file(home))
    assert (card.model, card.licence, card.accuracy, card.dataset) == ("mnist_inception", "free", 0.5, "mnist")
    assert card.preprocessing == ZERO_TO_ONE
    assert card.source == f"{known.url}, converted from keras"
    assert known.card() == card
    body = create_model("mnist_inception", weights="imagenet", include_top=False)
    np.testing.assert_array_equal(body.weights[0], theirs.weights[0])


def forget_what_is_known(monkeypatch):
    """Makes this process verify its conversions again, as another process would."""
    monkeypatch.setattr(downloads, "_made", set())


def test_a_conversion_is_used_offline_and_read_only(host, row, home, monkeypatch):
    converted(row[1])
    host.files.clear()
    (home / "theirs.weights.h5").unlink()
    forget_what_is_known(monkeypatch)

    def refused(*_):
        raise AssertionError("something was written")

    monkeypatch.setattr(downloads, "output_folder", refused)
    monkeypatch.setattr(downloads, "waiting_lock", refused)
    assert converted(row[1]) == made_file(home)
    assert len(host.asked) == 1


def damage_file(home):
    with made_file(home).open("r+b") as file:
        file.seek(-1000, 2)
        file.write(b"damage")


def remove_note(home):
    made_file(home).with_name(f"{made_file(home).name}.json").unlink()


def older_note(home):
    note = made_file(home).with_name(f"{made_file(home).name}.json")
    note.write_text(json.dumps({**json.loads(note.read_text()), "conversion": 0}))


def broken_note(home):
    made_file(home).with_name(f"{made_file(home).name}.json").write_text("{")


@pytest.mark.parametrize("damage", [damage_file, remove_note, older_note, broken_note])
def test_a_conversion_that_is_not_as_it_was_made_is_made_again(row, home, damage, monkeypatch):
    before = converted(row[1]).read_bytes()
    damage(home)
    forget_what_is_known(monkeypatch)
    assert converted(row[1]).read_bytes() == before


def test_a_conversion_that_fails_leaves_nothing(host, row, home, monkeypatch):
    _, known = row
    host.files["theirs.weights.h5"] = b"x"
    wrong = dataclasses.replace(known, checksum=f"md5:{hashlib.md5(b'x').hexdigest()}")
    with pytest.raises(ValueError, match="Not a weight file"):
        converted(wrong)
    assert files_in(home) == ["theirs.weights.h5"]


@pytest.mark.slow
def test_two_conversions_at_once(host, row, python, home):
    """Two processes of a batch system may start at the same second; they must share one download."""
    _, known = row
    program = f"""
import sys
from googlenet_keras.weights import PublishedWeights, catalogue
from googlenet_keras.images.preprocessing import Preprocessing
known = PublishedWeights(model={known.model!r}, name={known.name!r}, file={known.file!r}, url={known.url!r},
                         checksum={known.checksum!r}, licence="free")
catalogue.PUBLISHED = (known,)
from googlenet_keras import create_model
print(float(abs(create_model("mnist_inception", weights="imagenet").get_weights()[0]).sum()))
"""
    host.delay = 0.5
    results = []
    threads = [threading.Thread(target=lambda: results.append(python("-c", program))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.returncode for result in results] == [0, 0], [result.stderr for result in results]
    assert len({result.stdout for result in results}) == 1
    assert len(host.asked) == 1
    names = [made_file(home).name, f"{made_file(home).name}.json", "theirs.weights.h5"]
    assert files_in(home) == sorted(names)
