"""Writes hostile weight files of each format: they lie, refer to other files, or would execute a command.

Each function takes the path to write, a small honest state {name: array} and a random generator for what may vary.
`CANARY` is the command that no reader may execute.
"""

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import weight_files
from weight_files import Name, state_dict

CANARY = "touch canary"
HUGE = (1_000_000, 1_000_000)
MANY_ZEROS = 128 * 2**20


class Runs:
    """An object whose pickle executes `CANARY` when it is loaded."""

    def __reduce__(self):
        return os.system, (CANARY,)


def keras_2_state(state):
    """Returns the tensors of a state by layer, as `weight_files.write_keras_2` takes them."""
    layers = {}
    for name, array in state.items():
        layer, leaf = name.split(".")
        layers.setdefault(layer, {})[f"{layer}/{leaf}:0"] = array
    return layers


# HDF5: an honest file is written, then a random tensor of it is spoilt by one of these functions.


def _hdf5(spoil):
    def write(path, state, rng):
        weight_files.write_keras_2(path, keras_2_state(state))
        with h5py.File(path, "r+") as file:
            layer = str(rng.choice(list(file)))
            group = file[layer][layer]
            name = str(rng.choice(list(group)))
            spoil(file, group, name, rng)

    return write


def _replaced(group, name, *arguments, **options):
    del group[name]
    return group.create_dataset(name, *arguments, **options)


def external_storage(file, group, name, rng):
    shape = group[name].shape
    size = 4 * int(np.prod(shape))
    _replaced(group, name, shape, "f4", external=[("/etc/passwd", 0, size)])


def external_link(file, group, name, rng):
    del group[name]
    group[name] = h5py.ExternalLink("/etc/passwd", "/")


def soft_link(file, group, name, rng):
    del group[name]
    group[name] = h5py.SoftLink(rng.choice([group.name, f"{group.name}/{name}", "/", "/nowhere", ".", ".."]))


def hard_link_circle(file, group, name, rng):
    del group[name]
    group[name] = [file, group, file[group.name.split("/")[1]]][rng.integers(3)]


def hard_linked_twice(file, group, name, rng):
    other = next(item for item in group if item != name)
    del group[name]
    group[name] = group[other]


def virtual_dataset(file, group, name, rng):
    shape = group[name].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[...] = h5py.VirtualSource("/etc/passwd", "x", shape)
    del group[name]
    group.create_virtual_dataset(name, layout)


def huge_without_storage(file, group, name, rng):
    _replaced(group, name, HUGE, "f4")


def huge_in_absent_pieces(file, group, name, rng):
    options = {"compression": "gzip"} if rng.random() < 0.5 else {}
    _replaced(group, name, (40_000, 40_000), "f4", chunks=(1000, 1000), **options)


def deflated_zeros(file, group, name, rng):
    _replaced(group, name, data=np.zeros((4096, 4096), "f4"), chunks=(4096, 4096), compression="gzip")


def piece_that_inflates_beyond_itself(file, group, name, rng):
    array = group[name][()].reshape(-1)
    dataset = _replaced(group, name, array.shape, "f4", chunks=array.shape, compression="gzip")
    dataset.id.write_direct_chunk((0,), zlib.compress(bytes(MANY_ZEROS // 2), 9))


def piece_of_garbage(file, group, name, rng):
    array = group[name][()].reshape(-1)
    dataset = _replaced(group, name, array.shape, "f4", chunks=array.shape, compression="gzip")
    dataset.id.write_direct_chunk((0,), rng.bytes(int(rng.integers(0, 2 * array.nbytes))))


def huge_pieces(file, group, name, rng):
    _replaced(group, name, (3, 3), "f4", chunks=(16_000, 16_000), maxshape=(None, None), compression="gzip")


def unknown_filter(file, group, name, rng):
    options = {"compression": "lzf"} if rng.random() < 0.5 else {"fletcher32": True}
    _replaced(group, name, data=group[name][()].reshape(-1), chunks=True, **options)


def other_types(file, group, name, rng):
    kinds = [
        np.dtype([("a", "f4"), ("b", "i4")]),
        h5py.ref_dtype,
        h5py.string_dtype(),
        h5py.vlen_dtype("f4"),
        "S4",
        "c8",
    ]
    _replaced(group, name, group[name].shape, kinds[rng.integers(len(kinds))])


def without_numbers(file, group, name, rng):
    _replaced(group, name, data=h5py.Empty("f4"))


def type_in_place_of_tensor(file, group, name, rng):
    del group[name]
    group[name] = np.dtype("f4")


def group_in_a_circle(file, group, name, rng):
    group["again"] = [file, group, file[group.name.split("/")[1]]][rng.integers(3)]


HDF5 = {
    spoil.__name__: _hdf5(spoil)
    for spoil in (
        *(external_storage, external_link, soft_link, hard_link_circle, hard_linked_twice, virtual_dataset),
        *(huge_without_storage, huge_in_absent_pieces, deflated_zeros, piece_that_inflates_beyond_itself),
        *(piece_of_garbage, huge_pieces, unknown_filter, other_types, without_numbers, type_in_place_of_tensor),
        *(group_in_a_circle,),
    )
}


# Zip archives


def _zip(path, members, kind=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:
        for name, content in members:
            archive.writestr(name, content)


def _npy(header, numbers=b""):
    text = (header if isinstance(header, str) else repr(header)).encode("latin1")
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + numbers


def _npz(*members, kind=zipfile.ZIP_STORED):
    return lambda path, state, rng: _zip(path, members, kind)


def _huge_array(path, state, rng):
    shape = [HUGE, (2**62, 2**62), (-1, -1), (2**63,), (1,) * 100, ("x",), (10**4000,)][rng.integers(7)]
    _zip(path, [("conv.npy", _npy({"descr": "<f4", "fortran_order": False, "shape": shape}, bytes(64)))])


def _objects(path, state, rng):
    array = np.empty(2, object)
    array[0] = Runs()
    with path.open("wb") as file:  # given a path without .npz, NumPy would append it
        np.savez(file, conv=array)


def _deflated_array(path, state, rng):
    header = {"descr": "<f4", "fortran_order": False, "shape": (MANY_ZEROS // 4,)}
    _zip(path, [("a.npy", _npy(header, bytes(MANY_ZEROS)))], zipfile.ZIP_DEFLATED)


NPZ = {
    "huge_shape": _huge_array,
    "objects": _objects,
    "header_that_runs": _npz(("a.npy", _npy(f"__import__('os').system('{CANARY}')"))),
    "deflated_zeros": _deflated_array,
    "structured": _npz(("a.npy", _npy({"descr": [("a", "<f4")], "fortran_order": False, "shape": (3,)}, bytes(12)))),
    "no_array": _npz(("a.npy", b"nothing")),
    "bzip2": _npz(("a.npy", bytes(1000)), kind=zipfile.ZIP_BZIP2),
    "lzma": _npz(("a.npy", bytes(1000)), kind=zipfile.ZIP_LZMA),
}


def _keras_zip(path, state, rng):
    with tempfile.TemporaryDirectory() as folder:
        spoil = list(HDF5.values())[rng.integers(len(HDF5))]
        spoil(Path(folder, "model.weights.h5"), state, rng)
        content = Path(folder, "model.weights.h5").read_bytes()
    _zip(path, [("config.json", "{}"), ("model.weights.h5", content)])


KERAS_ZIP = {
    "spoilt_hdf5": _keras_zip,
    "deflated_zeros": lambda path, state, rng: _zip(
        path, [("model.weights.h5", bytes(MANY_ZEROS))], zipfile.ZIP_DEFLATED
    ),
    "hdf5_and_zeros": lambda path, state, rng: _zip(
        path, [("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(MANY_ZEROS))], zipfile.ZIP_DEFLATED
    ),
    "no_weights": lambda path, state, rng: _zip(path, [("config.json", "{}")]),
    "no_hdf5": lambda path, state, rng: _zip(path, [("model.weights.h5", "x")]),
}


# PyTorch


def _torch_zip(path, pickle_, members=()):
    _zip(path, [("archive/data.pkl", pickle_), *((f"archive/data/{name}", content) for name, content in members)])


def _torch_old(path, pickle_, numbers=b"", keys=("0",)):
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    heads = b"".join(pickle.dumps(head, protocol=2) for head in (0x1950A86A20F9469CFC6C, 1001, system))
    path.write_bytes(heads + pickle_ + pickle.dumps(list(keys), protocol=2) + numbers)


def _system(body):
    """Returns a pickle of a dictionary whose only value is what the opcodes of `body` compute."""
    return b"\x80\x02}X\x01\x00\x00\x00a" + body + b"s."


_TEXT = b"X" + struct.pack("<I", len(CANARY)) + CANARY.encode()
RUNNING = {
    "reduce": _system(b"cos\nsystem\n" + _TEXT + b"\x85R"),
    "reduce_posix": _system(b"cposix\nsystem\n" + _TEXT + b"\x85R"),
    "stack_global": _system(b"\x8c\x02os\x8c\x06system\x93" + _TEXT + b"\x85R"),
    "inst": _system(b"(" + _TEXT + b"ios\nsystem\n"),
    "obj": _system(b"(cos\nsystem\n" + _TEXT + b"o"),
    "newobj": _system(b"cos\nsystem\n" + _TEXT + b"\x85\x81"),
    "newobj_ex": _system(b"cos\nsystem\n" + _TEXT + b"\x85}\x92"),
    "extension": _system(b"\x82\x01" + _TEXT + b"\x85R"),
    "eval": _system(b"cbuiltins\neval\n" + _TEXT + b"\x85R"),
    "getattr": _system(b"cbuiltins\ngetattr\ncos\nsystem\n" + _TEXT + b"\x86R"),
    "build": _system(b"ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setstate__cos\nsystem\nsb" + _TEXT + b"b"),
    "tensor_of_a_call": _system(
        b"ctorch._utils\n_rebuild_tensor_v2\ncos\nsystem\n" + _TEXT + b"\x85RK\x00))\x89Nt\x85R"
    ),
    "call_of_a_tensor": _system(b"ctorch._utils\n_rebuild_parameter\ncos\nsystem\n\x85R" + _TEXT + b"\x85R"),
    "persistent": _system(b"cos\nsystem\n" + _TEXT + b"\x85RQ"),
    "module": _system(b"ctorchvision.models.googlenet\nGoogLeNet\n)\x81}b"),
}
# Each of 200 nested tuples contains the one before it twice, so hashing or printing the last would never end.
_LAUGHS = b"K\x01" + b"".join(b"q\x05h\x05\x86" for _ in range(200))
FILLING = {
    "laughing_key": _system(b"}" + _LAUGHS + b"Ns"),
    "laughing_pair": _system(b"ccollections\nOrderedDict\n](" + _LAUGHS + b"N\x86e\x85R"),
    "laughing_name": _system(_LAUGHS + b"X\x01\x00\x00\x00a\x93"),
    "laughing_call": _system(_LAUGHS + b")R"),
    "laughing_shape": _system(
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00" + _LAUGHS + b")\x89NtR"
    ),
    "laughing_storage": _system(_LAUGHS + b"Q"),
    "far_memo": _system(b"K\x01r\xff\xff\xff\xff"),
    "long_bytes": _system(b"\x8e" + struct.pack("<Q", 2**40) + b"x"),
    "long_text": _system(b"X\xff\xff\xff\xffx"),
    "long_number": _system(b"\x8b\xff\xff\xff\x7fx"),
    "long_frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"}.",
    "deep": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "many_steps": b"\x80\x02" + b"N0" * 600_000 + b".",
    "endless": b"\x80\x02" + b"(" * 1000,
    "empty_stack": b"\x80\x02R.",
    "no_stop": b"\x80\x02}",
    "line_without_end": b"\x80\x02c" + b"a" * 100_000,
}


def _tensor_pickle(storage, offset, shape, strides, name="w"):
    """Returns the pickle of a state dict with one tensor, described by the arguments, which may be false."""
    file = io.BytesIO()
    pickler = _LyingPickler(file)
    pickler.dump({name: _Lie((storage, offset, shape, strides, False, {}))})
    return file.getvalue()


class _Lie:
    def __init__(self, arguments):
        self.arguments = arguments


class _LyingPickler(weight_files.TorchPickler):
    def persistent_id(self, found):
        return found if isinstance(found, tuple) and found[:1] == ("storage",) else None

    def save(self, found, save_persistent_id=True):
        if isinstance(found, _Lie):
            self.save_reduce(Name("torch._utils", "_rebuild_tensor_v2"), found.arguments)
        else:
            super().save(found, save_persistent_id)


def _lying_tensor(path, state, rng, old=False):
    storage = ("storage", Name("torch", "FloatStorage"), "0", "cpu", 4)
    lies = [
        (storage, 0, HUGE, (0, 0)),
        (storage, 0, (5,), (1,)),
        (storage, 1, (4,), (1,)),
        (storage, -1, (4,), (1,)),
        (storage, 3, (4,), (-1,)),
        (storage, 0, (2, 2), (1,)),
        (storage, 0, (2**62, 2**62), (1, 1)),
        (storage, 0, (2.0, 2.0), (1, 1)),
        (storage, 0, "ab", (1, 1)),
        ((*storage[:4], 2**40), 0, HUGE, (1_000_000, 1)),
        ((*storage[:4], -4), 0, (4,), (1,)),
        ((*storage[:2], "../../../etc/passwd", "cpu", 4), 0, (4,), (1,)),
        ((storage[0], Name("os", "system"), "0", "cpu", 4), 0, (4,), (1,)),
        ((storage[0], Name("torch", "ComplexFloatStorage"), "0", "cpu", 4), 0, (2,), (1,)),
    ]
    lie = _tensor_pickle(*lies[rng.integers(len(lies))])
    if old:
        _torch_old(path, lie, (4).to_bytes(8, "little") + bytes(16))
    else:
        _torch_zip(path, lie, [("0", bytes(16))])


def _many_views(path, state, rng):
    """Writes 2000 tensors that are each the last number of one storage, which could be read again for each of them."""
    storage = ("storage", Name("torch", "FloatStorage"), "0", "cpu", 2**18)
    file = io.BytesIO()
    pickler = _LyingPickler(file)
    pickler.dump({f"w{i}": _Lie((storage, 2**18 - 1, (1,), (1,), False, {})) for i in range(2000)})
    _torch_zip(path, file.getvalue(), [("0", bytes(2**20))])


def _deflated_storage(path, state, rng):
    storage = ("storage", Name("torch", "FloatStorage"), "0", "cpu", MANY_ZEROS // 4)
    content = _tensor_pickle(storage, 0, (MANY_ZEROS // 4,), (1,))
    _zip(path, [("archive/data.pkl", content), ("archive/data/0", bytes(MANY_ZEROS))], zipfile.ZIP_DEFLATED)


def _pickled(write, pickles):
    return {name: lambda path, state, rng, content=content: write(path, content) for name, content in pickles.items()}


TORCH_ZIP = {
    **_pickled(_torch_zip, RUNNING | FILLING),
    "lying_tensor": _lying_tensor,
    "many_views": _many_views,
    "deflated_storage": _deflated_storage,
    "missing_storage": lambda path, state, rng: _torch_zip(path, weight_files.pickled(state_dict(state))[0]),
    "two_pickles": lambda path, state, rng: _zip(path, [("a/data.pkl", b"N."), ("b/data.pkl", b"N.")]),
    "script": lambda path, state, rng: _zip(path, [("a/data.pkl", b"N."), ("a/constants.pkl", b"N.")]),
}
TORCH_OLD = {
    **_pickled(_torch_old, RUNNING | FILLING),
    "lying_tensor": lambda path, state, rng: _lying_tensor(path, state, rng, old=True),
    "missing_storage": lambda path, state, rng: _torch_old(path, weight_files.pickled(state_dict(state))[0]),
    "other_keys": lambda path, state, rng: _torch_old(
        path, weight_files.pickled(state_dict(state))[0], bytes(100), keys=["x", "y"]
    ),
}


# safetensors


def _safetensors(path, header, numbers=bytes(16), length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + numbers)


def _entry(dtype="F32", shape=(4,), data_offsets=(0, 16)):
    return {"dtype": dtype, "shape": shape, "data_offsets": data_offsets}


SAFETENSORS = {
    name: lambda path, state, rng, arguments=arguments: _safetensors(path, *arguments)
    for name, arguments in {
        "huge_shape": ({"w": _entry(shape=HUGE)},),
        "huge_shape_and_offsets": ({"w": _entry(shape=HUGE, data_offsets=(0, 4 * 10**12))},),
        "negative_shape": ({"w": _entry(shape=(-2, -2))},),
        "fractions": ({"w": _entry(shape=(4.0,))},),
        "negative_offsets": ({"w": _entry(data_offsets=(-16, 0))},),
        "offsets_the_wrong_way": ({"w": _entry(data_offsets=(16, 0))},),
        "overlap": ({"v": _entry(), "w": _entry()},),
        "hole": ({"w": _entry(shape=(2,), data_offsets=(8, 16))},),
        "numbers_left_over": ({"w": _entry()}, bytes(32)),
        "unknown_type": ({"w": _entry(dtype="F8_E4M3", shape=(16,))},),
        "no_entry": ({"w": 5},),
        "no_offsets": ({"w": {"dtype": "F32", "shape": [4]}},),
        "named_twice": (b'{"w": {"dtype":"F32","shape":[4],"data_offsets":[0,16]}, "w": 1}',),
        "no_json": (b"{nothing",),
        "deep_json": (b'{"w":' + b"[" * 100_000,),
        "long_header": ({"w": _entry()}, bytes(16), 2**40),
        "header_beyond_the_end": ({"w": _entry()}, bytes(16), 2**63),
        "short_header": ({"w": _entry()}, bytes(16), 10),
        "no_text": (b"{\xff\xff}",),
        "large_number": (b'{"w": {"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,16]}}',),
    }.items()
}


# Caffe


def _varint(number):
    number &= 2**64 - 1
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _message(number, content):
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _net(shape, numbers, name=b"conv", extra=b""):
    blob = _message(7, _message(1, b"".join(_varint(one) for one in shape))) + numbers
    return _message(100, _message(1, name) + _message(2, b"Convolution") + _message(7, blob) + extra)


_FLOATS = _message(5, bytes(16))
CAFFE = {
    name: lambda path, state, rng, content=content: path.write_bytes(content)
    for name, content in {
        "huge_shape": _net(HUGE, _FLOATS),
        "overflowing_shape": _net((2**32, 2**32), _FLOATS),
        "negative_shape": _net((-1, -4), _FLOATS),
        "too_few_numbers": _net((5,), _FLOATS),
        "too_many_numbers": _net((3,), _FLOATS),
        "no_numbers": _net((4,), b""),
        "numbers_twice": _net((4,), _FLOATS * 2),
        "numbers_one_by_one": _net((2,), b"\x2d\x00\x00\x00\x00" * 2),
        "named_twice": _net((4,), _FLOATS) * 2,
        "long_name": _net((4,), _FLOATS, name=b"a" * 100_000),
        "name_of_no_letters": _net((4,), _FLOATS, name=b"\xff\x1b[31m\n"),
        "many_extents": _net((1,) * 1000, _FLOATS),
        "length_beyond_the_end": b"\x0a\x03net" + _varint(100 << 3 | 2) + _varint(2**40),
        "endless_number": b"\x0a\x03net" + b"\xff" * 100,
        "many_fields": b"\x0a\x03net" + b"\x18\x00" * 1_100_000,
        "a_group": b"\x0a\x03net\x0b\x0c",
        "field_zero": b"\x0a\x03net\x02\x00",
        "no_layers": b"\x0a\x03net",
        "layer_of_no_message": b"\x0a\x03net" + _varint(100 << 3) + b"\x05",
    }.items()
}


# TensorFlow


def _tar(path, *members, size=None):
    """Writes a tarball of `members`: pairs of a name and the content, or the attributes to set in the TarInfo."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                for key, value in content.items():
                    setattr(info, key, value)
                archive.addfile(info)


def _of_checkpoint(name, *others):
    """Returns a function that writes a tarball of the state's checkpoint, under `name`, and of `others`."""

    def write(path, state, rng):
        with tempfile.TemporaryDirectory() as folder:
            weight_files.write_checkpoint(Path(folder, "w.ckpt"), state, version=1)
            content = Path(folder, "w.ckpt").read_bytes()
        _tar(path, (name, content), *others)

    return write


def _zeros(path, state, rng):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("w.ckpt")
        info.size = MANY_ZEROS
        archive.addfile(info, io.BytesIO(bytes(MANY_ZEROS)))


def _long_header(kind):
    def write(path, state, rng):
        info = tarfile.TarInfo("w.ckpt")
        info.size, info.type = MANY_ZEROS, kind
        with gzip.open(path, "wb", 1) as file:
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.write(bytes(MANY_ZEROS))

    return write


TARBALL = {
    "parent_folder": _of_checkpoint("../w.ckpt"),
    "absolute": _of_checkpoint("/tmp/googlenet_keras_outside/w.ckpt"),
    "deep_parent_folder": _of_checkpoint("a/../../w.ckpt"),
    "symbolic_link": _of_checkpoint("w.ckpt", ("v.ckpt", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
    "link_and_file": lambda path, state, rng: _tar(
        path, ("w.ckpt", {"type": tarfile.SYMTYPE, "linkname": "/tmp/outside"}), ("w.ckpt", b"x")
    ),
    "hard_link": _of_checkpoint("w.ckpt", ("v.ckpt", {"type": tarfile.LNKTYPE, "linkname": "/etc/passwd"})),
    "device": _of_checkpoint("w.ckpt", ("v.ckpt", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5})),
    "pipe": _of_checkpoint("w.ckpt", ("v.ckpt", {"type": tarfile.FIFOTYPE})),
    "sparse": _of_checkpoint("w.ckpt", ("v.ckpt", {"type": tarfile.GNUTYPE_SPARSE, "size": 2**40})),
    "two_checkpoints": _of_checkpoint("w.ckpt", ("v.ckpt", b"x")),
    "same_name_twice": _of_checkpoint("w.ckpt", ("a/w.ckpt", b"x")),
    "no_checkpoint": lambda path, state, rng: _tar(path, ("readme.txt", b"x")),
    "no_table": lambda path, state, rng: _tar(path, ("w.ckpt", b"x" * 100)),
    "zeros": _zeros,
    "long_pax_header": _long_header(tarfile.XHDTYPE),
    "long_name": _long_header(tarfile.GNUTYPE_LONGNAME),
    "no_tar": lambda path, state, rng: path.write_bytes(gzip.compress(b"nothing" * 100)),
}

HOSTILE = {
    "keras_legacy": HDF5,
    "keras_zip": KERAS_ZIP,
    "npz": NPZ,
    "pytorch": TORCH_ZIP,
    "pytorch_old": TORCH_OLD,
    "safetensors": SAFETENSORS,
    "caffe": CAFFE,
    "tarball": TARBALL,
}
