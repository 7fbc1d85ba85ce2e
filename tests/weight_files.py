"""Writes weight files of every format, byte for byte in the layout that their publishers use.

The tests of the readers and the fuzzer read these files. Nothing here uses code of the readers: HDF5 is written by
h5py, Caffe's messages by the protobuf library, checkpoints by TensorFlow, pickles by Python's own pickler.
"""

import functools
import io
import json
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import h5py
import numpy as np


def write_keras_2(path, layers, *, whole_model=False, prefix="", split=False, **options):
    """Writes an .h5 of Keras 2; `layers` is {layer: {weight name: array}}, `options` go to h5py's create_dataset."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.4.0"
        if whole_model:
            file.attrs["model_config"] = json.dumps({"class_name": "Functional"})
            file.create_group("optimizer_weights").attrs["weight_names"] = [b"training/iter:0"]
            top = file.create_group("model_weights")
        else:
            top = file
        names = [name.encode() for name in layers]
        if split:  # as Keras does with lists beyond HDF5's limit of 64 kB
            for number, part in enumerate(np.array_split(np.array(names), 2)):
                top.attrs[f"layer_names{number}"] = part
        else:
            top.attrs["layer_names"] = names
        for layer, weights in layers.items():
            group = top.create_group(layer)
            group.attrs["weight_names"] = [f"{prefix}{name}".encode() for name in weights]
            for name, array in weights.items():
                group.create_dataset(f"{prefix}{name}", data=array, **(options if array.ndim else {}))


def keras_2_layers(model):
    """Returns the `layers` of `write_keras_2` for a model: its layer names, and weight names that end in :0."""
    return {
        layer.name: {
            f"{layer.name}/{variable.path.rpartition('/')[2]}:0": variable.numpy()
            for variable in layer.weights
            if "seed" not in variable.path
        }
        for layer in model.layers
    }


def write_safetensors(path, state):
    """Writes the length of a JSON header, the header, padded to 8 bytes, and the numbers."""
    kinds = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "bfloat16": "BF16"}
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name, array in state.items():
        entry = {"dtype": kinds[array.dtype.name], "shape": list(array.shape)}
        header[name] = {**entry, "data_offsets": [place, place + array.nbytes]}
        place += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in state.values()))


def write_checkpoint(path, state, version=2):
    """Writes a checkpoint by TensorFlow: in version 1 one file, as TF-slim's of 2016; in version 2 index and data."""
    import tensorflow as tf

    names, arrays = list(state), [np.asarray(array) for array in state.values()]
    if version == 1:
        tf.raw_ops.Save(filename=str(path), tensor_names=names, data=arrays)
    else:
        tf.raw_ops.SaveV2(prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=arrays)


def write_tarball(path, files, level=1):
    """Writes a .tar.gz as TF-slim does, without folders. At level 0, zlib stores the files without compression."""
    with tarfile.open(path, "w:gz", compresslevel=level) as archive:
        for file in files:
            archive.add(file, file.name)


OLD_EXTENTS = ("num", "channels", "height", "width")


@functools.cache
def _caffe():
    """Returns the class of caffe.proto's NetParameter, with the fields that weights need."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    for message, fields in {
        "BlobShape": [("dim", 1, "int64", "packed")],
        "BlobProto": [
            ("shape", 7, "BlobShape", "optional"),
            ("data", 5, "float", "packed"),
            ("diff", 6, "float", "packed"),
            ("double_data", 8, "double", "packed"),
            *(
                (name, number, "int32", "optional")
                for number, name in enumerate(("num", "channels", "height", "width"), 1)
            ),
        ],
        "LayerParameter": [
            ("name", 1, "string", "optional"),
            ("type", 2, "string", "optional"),
            ("bottom", 3, "string", "repeated"),
            ("top", 4, "string", "repeated"),
            ("blobs", 7, "BlobProto", "repeated"),
        ],
        "V1LayerParameter": [
            ("bottom", 2, "string", "repeated"),
            ("top", 3, "string", "repeated"),
            ("name", 4, "string", "optional"),
            ("type", 5, "int32", "optional"),  # an enumeration in Caffe, which is encoded like an int32
            ("blobs", 6, "BlobProto", "repeated"),
            ("blobs_lr", 7, "float", "repeated"),
        ],
        "NetParameter": [
            ("name", 1, "string", "optional"),
            ("layers", 2, "V1LayerParameter", "repeated"),
            ("input", 3, "string", "repeated"),
            ("layer", 100, "LayerParameter", "repeated"),
        ],
    }.items():
        described = file.message_type.add(name=message)
        for name, number, kind, label in fields:
            field = described.field.add(name=name, number=number)
            field.label = kinds.LABEL_OPTIONAL if label == "optional" else kinds.LABEL_REPEATED
            if kind[0].isupper():
                field.type, field.type_name = kinds.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = getattr(kinds, f"TYPE_{kind.upper()}")
            field.options.packed = label == "packed"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def write_caffe(path, state, *, old=False, old_shapes=False, double=False):
    """Writes a .caffemodel of {LAYER.weight, LAYER.bias, LAYER.0 ...} in the field `layer` or, if `old`, `layers`."""
    net = _caffe()(name="GoogleNet")
    net.input.append("data")
    layers = OrderedDict()
    for name, array in state.items():
        layers.setdefault(name.rpartition(".")[0], []).append(array)
    for name, arrays in layers.items():
        kind = "Scale" if f"{name}.0" in state else "Convolution" if arrays[0].ndim == 4 else "InnerProduct"
        if old:
            layer = net.layers.add(name=name, type={"Scale": 0, "Convolution": 4, "InnerProduct": 14}[kind])
            layer.blobs_lr.extend([1, 2])
        else:
            layer = net.layer.add(name=name, type=kind)
        layer.bottom.append("data")
        layer.top.append(name)
        for array in arrays:
            blob = layer.blobs.add()
            (blob.double_data if double else blob.data).extend(array.ravel().tolist())
            if old or old_shapes:
                blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
            else:
                blob.shape.dim.extend(array.shape)
    path.write_bytes(net.SerializeToString())


class Name:
    """A global name in a pickle, from a module that need not be installed here."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        raise AssertionError("a name in a pickle, nothing to call")


class Storage:
    """The numbers of an array, which a pickle refers to by a key."""

    def __init__(self, array):
        self.array = array


STORAGES = {"float32": "FloatStorage", "float64": "DoubleStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class TorchPickler(pickle._Pickler):
    """Pickles arrays as PyTorch pickles tensors; the attribute `storages` holds their numbers in order."""

    def __init__(self, file):
        super().__init__(file, protocol=2)
        self.storages = []

    def persistent_id(self, found):
        if not isinstance(found, Storage):
            return None
        self.storages.append(found.array)
        kind = Name("torch", STORAGES[found.array.dtype.name])
        return ("storage", kind, str(len(self.storages) - 1), "cpu", found.array.size)

    def save(self, found, save_persistent_id=True):
        if isinstance(found, Name):
            self.write(pickle.GLOBAL + f"{found.module}\n{found.name}\n".encode())
        elif isinstance(found, np.ndarray):
            base = found if found.base is None else found.base
            strides = tuple(stride // found.itemsize for stride in found.strides)
            arguments = (Storage(base.ravel("K")), 0, found.shape, strides, False, OrderedDict())
            self.save_reduce(Name("torch._utils", "_rebuild_tensor_v2"), arguments)
        else:
            super().save(found, save_persistent_id)


def pickled(content):
    """Returns the pickle that torch.save makes of a state dict, and the storages that it refers to."""
    file = io.BytesIO()
    pickler = TorchPickler(file)
    pickler.dump(content)
    return file.getvalue(), pickler.storages


def write_torch(path, content, *, old=False):
    """Writes what torch.save writes: a zip archive or, if `old`, five pickles and the numbers."""
    pickle_, storages = pickled(content)
    if old:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
        keys = [str(number) for number in range(len(storages))]
        heads = [pickle.dumps(head, protocol=2) for head in (0x1950A86A20F9469CFC6C, 1001, system)]
        numbers = [array.size.to_bytes(8, "little") + array.tobytes() for array in storages]
        path.write_bytes(b"".join([*heads, pickle_, pickle.dumps(keys, protocol=2), *numbers]))
        return
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle_)
        archive.writestr("archive/byteorder", "little")
        for number, array in enumerate(storages):
            archive.writestr(f"archive/data/{number}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def state_dict(state):
    """Returns a state dict as modules return it: ordered, and with the versions of the modules as metadata."""
    ordered = OrderedDict(state)
    ordered._metadata = OrderedDict({"": {"version": 1}})
    return ordered
