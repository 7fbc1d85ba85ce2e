"""A crash destroys no existing files, and a publication that was complete is finished afterwards."""

import pathlib
import signal
import subprocess
import sys

import pytest

from googlenet_keras.files import Publication, output_folder, tree_size

NEW = {"thing/weights": "new weights", "thing/graph": "new graph", "thing.txt": "new text", "extra.txt": "new extra"}
OLD = {"thing/weights": "old weights", "thing/old": "old only", "thing.txt": "old text"}

PUBLISH = """
import os, signal, sys
from pathlib import Path
from googlenet_keras import files

# Dies at the Nth of the calls that change what is on the disk.
left = int(sys.argv[2])
def mortal(module, name):
    original = getattr(module, name)
    def call(*arguments, **options):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)
    setattr(module, name, call)
for module, name in [(Path, "rename"), (Path, "replace"), (Path, "unlink"), (Path, "write_text"), (Path, "mkdir"),
                     (files, "_exchange"), (files, "_sync"), (os, "unlink"), (os, "rmdir")]:
    mortal(module, name)
with files.Publication(Path(sys.argv[1]), "thing") as publication:
    (publication.aside / "thing").mkdir()
    for name, text in eval(sys.argv[3]).items():
        (publication.aside / name).write_text(text)
    publication.publish()
"""


def write(folder, contents):
    for name, text in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def read(folder):
    """Returns the contents of all files that are not hidden."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in files
        if not path.relative_to(folder).parts[0].startswith(".")
    }


def publish(folder):
    with Publication(folder, "thing") as publication:
        write(publication.aside, NEW)
        publication.publish()


def test_new_replaces_old_whole(tmp_path):
    write(tmp_path, OLD)
    publish(tmp_path)
    assert read(tmp_path) == NEW
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert tree_size(tmp_path / "thing") == len("new weights" + "new graph")


def test_first_publication(tmp_path):
    publish(tmp_path)
    assert read(tmp_path) == NEW


def test_failure_leaves_the_old(tmp_path):
    write(tmp_path, OLD)
    with pytest.raises(FileNotFoundError), Publication(tmp_path, "thing") as publication:
        write(publication.aside, {**NEW, "no/such/folder": ""})
    assert read(tmp_path) == OLD
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_without_an_exchange_on_the_system(tmp_path, monkeypatch):
    def nowhere(one, other):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("googlenet_keras.files._exchange", nowhere)
    write(tmp_path, OLD)
    publish(tmp_path)
    assert read(tmp_path) == NEW


@pytest.mark.parametrize("old", [{}, OLD], ids=["first", "replacing"])
def test_killed_at_every_step(tmp_path, old):
    """At any moment each part is completely old or new, and the next publication finishes one that was complete."""
    parts = {"thing", "thing.txt", "extra.txt"}
    finished = step = 0
    while not finished:
        folder = tmp_path / str(step)
        folder.mkdir()
        write(folder, old)
        process = subprocess.run([sys.executable, "-c", PUBLISH, folder, str(step), repr(NEW)], check=False)
        finished = process.returncode == 0
        assert finished or process.returncode == -signal.SIGKILL

        found = read(folder)
        for part in parts:
            now, before, after = (
                {name: text for name, text in contents.items() if name.split("/")[0] == part}
                for contents in (found, old, NEW)
            )
            assert now in (before, after), (step, part)
        with Publication(folder, "thing"):
            pass  # finishes a complete publication, or deletes an incomplete one
        assert read(folder) in (old, NEW), step
        assert {path.name for path in folder.iterdir()} <= parts, step
        step += 1
    assert step > 20
    assert read(folder) == NEW


def test_one_writer_at_a_time(tmp_path):
    with (
        Publication(tmp_path, "thing"),
        pytest.raises(BlockingIOError, match="Another process"),
        Publication(tmp_path, "thing"),
    ):
        pass
    with Publication(tmp_path, "thing"), Publication(tmp_path, "other"):
        pass


def test_a_dead_writers_lock_holds_nobody_up(tmp_path):
    (tmp_path / ".thing.lock").touch()
    (tmp_path / ".thing.partial").mkdir()
    (tmp_path / ".thing.partial" / "rest").touch()
    publish(tmp_path)
    assert read(tmp_path) == NEW


def test_a_failure_takes_the_folders_that_it_made_away_again(tmp_path):
    """Folders that existed before stay, and so do folders that are not empty."""
    (tmp_path / "before").mkdir()
    for path in ("before", "before/new", "made/for/it"):
        with pytest.raises(ValueError, match="refused"), output_folder(tmp_path / path):
            raise ValueError("refused")
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["before"]
    results = tmp_path / "made" / "results"
    with pytest.raises(FileNotFoundError), output_folder(results):
        write(results, {"log": "kept", "no/such/folder": ""})
    assert read(tmp_path) == {"made/results/log": "kept"}
    with output_folder(tmp_path / "success"):
        pass
    assert (tmp_path / "success").is_dir()


def test_a_folder_that_takes_no_files_is_refused_before_the_work(tmp_path):
    """The error comes before hours of training and not after them; /proc refuses even the superuser."""
    (tmp_path / "file").touch()
    name = "n" * 300  # longer than any file system allows
    for path in (pathlib.Path("/proc/self"), tmp_path / "file", tmp_path / "file" / "below", tmp_path / "new" / name):
        with pytest.raises(OSError), output_folder(path):  # noqa: PT011 (the message is that of the system)
            pytest.fail("the work began")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
