"""Prepares a dataset in many files whose images are too large to be kept in memory, as those of ImageNet are.

Every image is noise of a random size, so that no two records are equal, and no few records hold most of the bytes.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

NAME = "streamed"
EXAMPLES = {"train": 330, "test": 70}


def prepare(data_dir, file_format="tfrecord", files=32, examples=EXAMPLES, side=160):
    """Prepares the dataset, so that `open_dataset` finds it by its name.

    Args:
        data_dir: The folder that holds the data of TensorFlow Datasets.
        file_format: ``array_record`` or ``tfrecord``.
        files: The number of files of each split.
        examples: The number of examples of each split, by its name.
        side: The smallest height and width of an image, in pixels.

    Returns:
        The folder of the files.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import registered

    with registered.skip_registration():

        class Streamed(tfds.core.GeneratorBasedBuilder):
            name = NAME
            VERSION = tfds.core.Version("1.0.0")
            pkg_dir_path = Path(__file__).parent  # TFDS looks for the metadata of its own datasets here

            def _info(self):
                features = {
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=[f"class {i}" for i in range(10)]),
                }
                return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(split) for split in examples}

            def _generate_examples(self, split):
                random = np.random.default_rng(len(split))
                for number in range(examples[split]):
                    height, width = random.integers(side, side + 60, 2)
                    buffer = io.BytesIO()
                    Image.fromarray(random.integers(0, 256, (height, width, 3), "uint8")).save(buffer, "JPEG")
                    yield number, {"image": buffer.getvalue(), "label": number % 10}

    tfds.disable_progress_bar()
    builder = Streamed(data_dir=data_dir, file_format=file_format)
    builder.download_and_prepare(download_config=tfds.download.DownloadConfig(num_shards=files))
    return Path(builder.data_path)


def bytes_read():
    """Returns the number of bytes that this process has read so far, from the disk or its cache (Linux only)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])
