"""Reads damaged weight files of every format: no reader may execute code, touch other files, hang or fill the memory.

Run it as ``python tests/fuzz_readers.py --mutations 2000 --seed 0 [--format NAME]``. Each mutation is read in a worker
process that is watched, and must end in a `DamagedFileError` of one line, in the right numbers, or in one of these:

    misfit   other names, shapes or types than those of the honest file, which `load_state` reports and refuses
    flipped  wrong numbers only where their own bytes were changed, which no reader can detect
    altered  other wrong numbers: in a format without checksums, bytes outside the numbers were changed so that the
             file is still valid but says something else

A file that was made to lie (`hostile_files`) must end in the error or in the right numbers; the other outcomes are
allowed for random changes only.
"""

import argparse
import contextlib
import dataclasses
import gc
import multiprocessing
import os
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import weight_files
from hostile_files import HOSTILE, keras_2_state

SECONDS = 10
# The memory allowed beyond twice that of reading the honest file: it covers `OpenedFile.most_bytes` of a small file,
# for the numbers as they are stored and as float32, and what the allocator keeps.
MOST_MEMORY_BEYOND = 64 * 2**20


def honest_state():
    """Returns the tensors of a small network: 160 kB, so that changes hit headers as often as numbers."""
    rng = np.random.default_rng(0)
    shapes = {
        **{"conv1.weight": (16, 3, 7, 7), "conv1.bias": (16,)},
        **{"inception_3a.weight": (48, 16, 5, 5), "inception_3a.bias": (48,)},
        **{"norm.gamma": (48,), "norm.beta": (48,), "fc.weight": (10, 1728), "fc.bias": (10,)},
    }
    return {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}


def _keras_3(path, state):
    """Writes a .weights.h5 in the layout of Keras 3, without a Keras model."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_group("vars")
        for layer, weights in keras_2_state(state).items():
            group = file.create_group(f"layers/{layer}/vars")
            group.attrs["name"] = layer
            for index, array in enumerate(weights.values()):
                group.create_dataset(str(index), data=array)


def _keras_zip(path, state):
    import zipfile

    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(path, "w") as archive:
        _keras_3(Path(folder, "w.h5"), state)
        archive.writestr("config.json", "{}")
        archive.write(Path(folder, "w.h5"), "model.weights.h5")


def _tarball(path, state):
    with tempfile.TemporaryDirectory() as folder:
        weight_files.write_checkpoint(Path(folder, "w.ckpt"), state, version=1)
        weight_files.write_tarball(path, [Path(folder, "w.ckpt")])


def _of_caffe(state):
    """Returns the state with Caffe's names; its Scale layers have blobs without names."""
    leaves = {"norm.gamma": "norm.0", "norm.beta": "norm.1"}
    return {leaves.get(name, name): array for name, array in state.items()}


HONEST = {
    "keras": ("w.weights.h5", _keras_3),
    "keras_zip": ("w.keras", _keras_zip),
    "keras_legacy": ("w.h5", lambda path, state: weight_files.write_keras_2(path, keras_2_state(state))),
    "keras_deflated": (
        "w.h5",
        lambda path, state: weight_files.write_keras_2(
            path, keras_2_state(state), chunks=True, compression="gzip", shuffle=True
        ),
    ),
    "npz": ("w.npz", lambda path, state: np.savez(path, **state)),
    "npz_deflated": ("w.npz", lambda path, state: np.savez_compressed(path, **state)),
    "safetensors": ("w.safetensors", weight_files.write_safetensors),
    "checkpoint": ("w.ckpt.index", lambda path, state: weight_files.write_checkpoint(path.with_suffix(""), state)),
    "checkpoint_old": ("w.ckpt", lambda path, state: weight_files.write_checkpoint(path, state, version=1)),
    "tarball": ("w.tar.gz", _tarball),
    "caffe": ("w.caffemodel", lambda path, state: weight_files.write_caffe(path, _of_caffe(state))),
    "caffe_old": ("w.caffemodel", lambda path, state: weight_files.write_caffe(path, _of_caffe(state), old=True)),
    "pytorch": ("w.pth", lambda path, state: weight_files.write_torch(path, weight_files.state_dict(state))),
    "pytorch_old": (
        "w.pth",
        lambda path, state: weight_files.write_torch(path, weight_files.state_dict(state), old=True),
    ),
}
HOSTILE_OF = {"keras": "keras_legacy", "keras_deflated": "keras_legacy", "npz_deflated": "npz", "caffe_old": "caffe"}


# Random changes: each function takes the bytes and a generator, and returns the changed bytes and how many were
# changed in place, or None if bytes have moved.


def truncated(data, rng):
    return data[: rng.integers(len(data))], None


def flipped(data, rng):
    spoilt = bytearray(data)
    count = int(2 ** rng.integers(0, 4))
    for _ in range(count):
        spoilt[_place(data, rng)] ^= 1 << rng.integers(8)
    return bytes(spoilt), count


def lying_number(data, rng):
    """Replaces whatever number is in one place, such as a length, an offset or a shape."""
    spoilt, size = bytearray(data), int(rng.choice([1, 2, 4, 8]))
    place = min(_place(data, rng), len(data) - size)
    number = int(
        rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1, len(data), rng.integers(2**20)])
    )
    order = "little" if rng.random() < 0.7 else "big"
    spoilt[place : place + size] = (number % 2 ** (8 * size)).to_bytes(size, order)
    return bytes(spoilt), size


def blanked(data, rng):
    place, size = _place(data, rng), int(2 ** rng.integers(2, 12))
    spoilt = bytearray(data)
    piece = bytes(spoilt[place : place + size])
    spoilt[place : place + size] = rng.choice([b"\0", b"\xff"]) * len(piece)
    return bytes(spoilt), len(piece)


def cut_out(data, rng):
    place, size = _place(data, rng), int(2 ** rng.integers(0, 12))
    return data[:place] + data[place + size :], None


def doubled(data, rng):
    place, size = _place(data, rng), int(2 ** rng.integers(0, 12))
    return data[:place] + data[place : place + size] + data[place:], None


def lengthened(data, rng):
    return data + rng.bytes(int(rng.integers(1, 4096))), None


def swapped(data, rng):
    """Copies a piece of the file over another one, such as a header that is valid elsewhere."""
    size = int(2 ** rng.integers(2, 9))
    source, target = _place(data, rng), _place(data, rng)
    piece = data[source : source + size]
    return (data[:target] + piece + data[target + len(piece) :])[: len(data)], size


CHANGES = (truncated, flipped, flipped, lying_number, lying_number, blanked, cut_out, doubled, lengthened, swapped)


def _place(data, rng):
    """Returns a random place, preferably where headers are: near the start, near the end or beside a layer name."""
    kind = rng.random()
    if kind < 0.2:
        return int(rng.integers(min(2048, len(data))))
    if kind < 0.4:
        return len(data) - 1 - int(rng.integers(min(2048, len(data))))
    if kind < 0.7:
        places = [place for name in (b"conv1", b"inception_3a", b"norm", b"fc") for place in _found(data, name)]
        if places:
            return int(np.clip(rng.choice(places) + rng.integers(-100, 200), 0, len(data) - 1))
    return int(rng.integers(len(data)))


def _found(data, name):
    place = data.find(name)
    while place >= 0:
        yield place
        place = data.find(name, place + 1)


def with_right_checksums(data, rng):
    """Changes a block of a TensorFlow table, and corrects the checksum of that block."""
    blocks = _blocks(data)
    offset, size = blocks[rng.integers(len(blocks))]
    change = (flipped, lying_number)[rng.integers(2)]
    # Blocks of numbers are long, and their first bytes say what they contain.
    part = data[offset : offset + (size if rng.random() < 0.5 else min(size, 300))]
    spoilt, changed = change(part, rng)
    content = spoilt + data[offset + len(part) : offset + size + 1]
    crc = _crc32c(content)
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    return data[:offset] + content + masked.to_bytes(4, "little") + data[offset + size + 5 :], changed


def _blocks(data):
    """Returns the offset and the size of each block of a LevelDB table."""

    def varint(place):
        number = shift = 0
        while True:
            byte = data[place]
            number |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                return number, place

    place = len(data) - 48
    *_, place = varint(place)
    *_, place = varint(place)
    offset, place = varint(place)
    size, place = varint(place)
    blocks, place = [(offset, size)], offset
    count = int.from_bytes(data[offset + size - 4 : offset + size], "little")
    while place < offset + size - 4 * (count + 1):
        _, place = varint(place)
        unshared, place = varint(place)
        length, place = varint(place)
        begin, after = varint(place + unshared)
        blocks.append((begin, varint(after)[0]))
        place += unshared + length
    return blocks


def _crc32c(data, table=[]):  # noqa: B006 (made once)
    if not table:
        for byte in range(256):
            for _ in range(8):
                byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)  # noqa: PLW2901
            table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def mutate(name, folder, state, number, seed):
    """Writes the damaged file with this number.

    Returns:
        The path, the name of the change, and the number of bytes changed in place, or None if the file was made to
        lie or bytes have moved.
    """
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
    file, write = HONEST[name]
    path = folder / file
    hostile = HOSTILE.get(HOSTILE_OF.get(name, name), {})
    if hostile and number % 5 == 0:
        lie = list(hostile)[number // 5 % len(hostile)]
        hostile[lie](path, state, rng)
        return path, lie, None
    write(path, state)
    spoilt, change = path, CHANGES[rng.integers(len(CHANGES))]
    if name == "checkpoint" and rng.random() < 0.3:
        spoilt = path.with_suffix(".data-00000-of-00001")
    elif name.startswith("checkpoint") and rng.random() < 0.5:
        change = with_right_checksums
    data, changed = change(spoilt.read_bytes(), rng)
    spoilt.write_bytes(data)
    return path, change.__name__, changed


# The worker


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How reading a file ended.

    Attributes:
        kind: "refused", "right", "misfit", "other", or "failed".
        message: The message of the error, or what failed.
        different: How many numbers differ from the expected ones.
        memory: The bytes by which the process grew while reading.
        seconds: The time that reading took.
    """

    kind: str
    message: str = ""
    different: int = 0
    memory: int = 0
    seconds: float = 0.0


def _memory(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise OSError(field)


class _Watch:
    """Records forbidden actions of Python while a file is read."""

    FORBIDDEN = (
        *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class"),
        *("socket.connect", "os.chmod", "os.chown", "os.link", "os.symlink", "os.rename"),
    )

    def __init__(self, temporary):
        self._temporary, self.seen, self.on = str(temporary), [], False
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event.startswith(self.FORBIDDEN) or (writes and not arguments[0].startswith(self._temporary)):
            self.seen.append(f"{event} {arguments}")


def work(connection, temporary, cwd):
    """Receives (path, expected) and answers with an `Outcome`, until it receives None."""
    import resource

    tempfile.tempdir = temporary
    os.chdir(cwd)
    import tensorflow  # noqa: F401 (imported before reading is watched)

    from googlenet_keras.weights.readers import DamagedFileError, open_weights

    watch = _Watch(temporary)
    # A file that gets past every check must exhaust only the memory of this process, not of the machine.
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + 4 * 2**30,) * 2)
    gc.freeze()
    connection.send("ready")
    while (told := connection.recv()) is not None:
        path, expected = told
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before, start, watch.on = _memory("VmRSS"), time.monotonic(), True
        try:
            with open_weights(path) as file:
                state = {name: (tensor.dtype, tensor.read()) for name, tensor in file.tensors.items()}
            outcome = _compared(state, expected)
            del state
        except DamagedFileError as error:
            message = str(error)
            is_clear = message.isprintable() and str(path) in message and len(message) < 1000
            outcome = Outcome("refused" if is_clear else "failed", message)
        except BaseException as error:
            outcome = Outcome("failed", f"{type(error).__name__}: {error}")
        watch.on = False
        spent, memory = time.monotonic() - start, _memory("VmHWM") - before
        for found in (watch.seen, [*Path(cwd).iterdir()], [*Path(temporary).iterdir()]):
            if found:
                outcome = Outcome("failed", f"it did what no reader does: {found}")
        watch.seen.clear()
        connection.send(dataclasses.replace(outcome, memory=memory, seconds=spent))


def _compared(state, expected):
    if expected is None:
        return Outcome("right")
    shapes = {name: (dtype.name, array.shape) for name, (dtype, array) in state.items()}
    if shapes != {name: (array.dtype.name, array.shape) for name, array in expected.items()}:
        return Outcome("misfit")
    different = sum(
        int((array.view(np.int32) != expected[name].view(np.int32)).sum()) for name, (_, array) in state.items()
    )
    return Outcome("other" if different else "right", different=different)


class Worker:
    """A process that reads files and is replaced if a file makes it crash or hang."""

    def __init__(self):
        self._folders = contextlib.ExitStack()
        self._process = None

    def _start(self):
        cwd, temporary = (self._folders.enter_context(tempfile.TemporaryDirectory()) for _ in range(2))
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, temporary, cwd), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def read(self, path, expected=None):
        """Returns the outcome of reading a file, even if the file makes the process crash or hang."""
        if self._process is None:
            self._start()
        self._connection.send((path, expected))
        if not self._connection.poll(2 * SECONDS):
            self._end()
            return Outcome("failed", f"it took more than {2 * SECONDS} s", seconds=2 * SECONDS)
        try:
            return self._connection.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._process = None
            return Outcome("failed", f"the process died of it, with {code}")

    def _end(self):
        self._process.kill()
        self._process.join()
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._process is not None:
            self._end()
        self._folders.close()


@dataclasses.dataclass
class Figures:
    """The results of all mutations of a format.

    Attributes:
        counts: The number of outcomes of each kind.
        failures: The number, the name of the change and the problem of each failure.
        altered: The number, the name of the change and the count of differing numbers of each altered file.
        memory: The most memory that one mutation took, in bytes.
        seconds: The longest time that one mutation took.
    """

    counts: Counter = dataclasses.field(default_factory=Counter)
    failures: list = dataclasses.field(default_factory=list)
    altered: list = dataclasses.field(default_factory=list)
    memory: int = 0
    seconds: float = 0.0


def fuzz(name, mutations, seed, worker, *, first=0):
    """Reads `mutations` damaged files of a format, beginning with number `first`, and returns the `Figures`."""
    state, figures = honest_state(), Figures()
    with tempfile.TemporaryDirectory() as folder:
        file, write = HONEST[name]
        honest = Path(folder) / file
        write(honest, state)
        outcomes = [worker.read(honest) for _ in range(2)]
        assert [one.kind for one in outcomes] == ["right", "right"], outcomes
        expected = _in_order(honest, state, name)
        outcome = worker.read(honest, expected)
        assert outcome.kind == "right", outcome
        allowed = 2 * outcome.memory + MOST_MEMORY_BEYOND
        for number in range(first, first + mutations):
            path, change, changed = mutate(name, Path(folder), state, number, seed)
            outcome = worker.read(path, expected)
            kind = outcome.kind
            if kind == "other":
                kind = "flipped" if changed is not None and outcome.different <= changed else "altered"
            lies = change in HOSTILE.get(HOSTILE_OF.get(name, name), {})
            wrong = {
                outcome.message: kind == "failed",
                f"a lie was taken as {kind}": lies and kind in ("misfit", "flipped", "altered"),
                f"it took {outcome.memory / 1e6:.0f} MB": outcome.memory > allowed,
                f"it took {outcome.seconds:.1f} s": outcome.seconds > SECONDS,
            }
            figures.failures += [(number, change, what) for what, is_so in wrong.items() if is_so]
            figures.altered += [(number, change, outcome.different)] if kind == "altered" else []
            figures.counts[kind] += 1
            figures.memory, figures.seconds = max(figures.memory, outcome.memory), max(figures.seconds, outcome.seconds)
    return figures


def _in_order(path, state, name):
    """Returns the tensors of the honest file under the names that its format gives them."""
    leaves = {"weight": "0", "bias": "1", "gamma": "0", "beta": "1"}
    if name in ("keras", "keras_zip"):
        return {f"{layer}/{leaves[leaf]}": array for (layer, leaf), array in _split(state)}
    if name.startswith("keras"):
        return {f"{layer}/{leaf}": array for (layer, leaf), array in _split(state)}
    if name.startswith("caffe"):
        return _of_caffe(state)
    return state


def _split(state):
    return [(tuple(name.split(".")), array) for name, array in state.items()]


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=2000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--format", choices=HONEST, action="append", help="all, if not given")
    arguments = parser.parse_args(argv)
    failed = False
    with Worker() as worker:
        for name in arguments.format or HONEST:
            start = time.monotonic()
            figures = fuzz(name, arguments.mutations, arguments.seed, worker, first=arguments.first)
            counts = " ".join(f"{kind} {count}" for kind, count in sorted(figures.counts.items()))
            print(
                f"{name}: {counts}; at most {figures.memory / 1e6:.1f} MB and {figures.seconds:.2f} s; "
                f"{time.monotonic() - start:.0f} s",
                flush=True,
            )
            for number, change, what in figures.failures:
                print(f"  FAILED {number} {change}: {what}", flush=True)
            for number, change, count in figures.altered:
                print(f"  altered {number} {change}: {count} numbers", flush=True)
            failed = failed or bool(figures.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
