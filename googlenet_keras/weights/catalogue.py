"""Lists all published weights in one table, with their addresses, properties and accuracies.

Sources: the addresses are those of the publishers. Checksums and sizes come from openvinotoolkit/open_model_zoo
(models/public/*/model.yml, which also lists its mirrors), BVLC caffe models/*/readme.md, keras/src/applications/*.py,
torchvision's file names (which end in the first digits of a SHA-256), the file pages of Hugging Face, and, for the
release of facenet-pytorch, several projects that pin it. Accuracies are for one central crop of each of ImageNet's
50,000 validation images, as published by open_model_zoo, torchvision, keras.io and timm (results-imagenet.csv).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from googlenet_keras.images.preprocessing import (
    MEAN_SUBTRACTED_BGR,
    MEAN_SUBTRACTED_BGR_VGG,
    MINUS_ONE_TO_ONE,
    STANDARDIZED_RGB,
    Preprocessing,
)
from googlenet_keras.weights.cards import Card, read_card


@dataclass(frozen=True, kw_only=True)
class PublishedWeights:
    """Describes published weights: an asset of this package, or a file that is downloaded and converted once.

    Attributes:
        model: The name of the network in `list_models`.
        name: The name of the weights in the ``weights=`` argument of the factories.
        file: The name of the file among the assets or in the folder of downloads.
        checksum: The checksum of the file as "ALGORITHM:DIGITS". It has only the first digits if no more are published.
        url: The address of the file; None for an asset, whose card holds the remaining facts.
        mirrors: Further addresses of the same file.
        size: The size of the file in bytes; None if the exact size is not published.
        source: The source that named the tensors; see `SOURCES`.
        preprocessing: The preprocessing that the weights expect.
        input_shape: (height, width, channels) in pixels that the weights were trained at; None means the network's
            default.
        dataset: The dataset that the weights were trained on; see `open_dataset`.
        licence: The licence of the weights, and of the data behind them.
        top1: The published top-1 accuracy.
        top5: The published top-5 accuracy.
        images: The kind of images that the weights were trained on, if that needs a warning.
    """

    model: str
    name: str
    file: str
    checksum: str
    url: str | None = None
    mirrors: tuple[str, ...] = ()
    size: int | None = None
    source: str = "keras"
    preprocessing: Preprocessing | None = None
    input_shape: tuple[int, int, int] | None = None
    dataset: str | None = "imagenet2012"
    licence: str | None = None
    top1: float | None = None
    top5: float | None = None
    images: str | None = None

    def path(self) -> Path:
        """Returns the path of the weight file, after downloading and converting it if necessary.

        Raises:
            ValueError: If an existing file is not the published one.
            RuntimeError: If the file cannot be downloaded.
            OSError: If the folder of downloads is not writable.
        """
        if self.url is None:
            return _asset(self)
        from googlenet_keras.weights.downloads import converted

        return converted(self)

    def card(self) -> Card:
        """Returns the card, which says the input, classes, preprocessing, source, licence and accuracy of the weights.

        Raises:
            ValueError: As for `path`, or if the file has no card.
            RuntimeError, OSError: As for `path`.
        """
        card = read_card(self.path())
        if card is None:
            raise ValueError(f"The published weights have no card; make the file again. Received: {self.file}")
        return card

    def is_file(self, path: Path) -> bool:
        """Returns True if a file is the published one.

        Args:
            path: An existing file. It is read completely, unless its size is already wrong.
        """
        algorithm, _, digits = self.checksum.partition(":")
        return self.size in (None, path.stat().st_size) and file_digest(path, algorithm).startswith(digits)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Returns the checksum of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


_verified: set[tuple[str, str]] = set()


def _asset(published: PublishedWeights) -> Path:
    """Returns the path of an asset, whose checksum is verified once per process."""
    path = Path(str(resources.files("googlenet_keras").joinpath("assets", published.file)))
    known = (published.file, published.checksum)
    if known not in _verified:
        if not path.is_file() or not published.is_file(path):
            raise ValueError(f"A file of the package is missing or damaged; reinstall the package. Received: {path}")
        _verified.add(known)
    return path


_SLIM = "http://download.tensorflow.org/models"
_ZOO = "https://storage.openvinotoolkit.org/repositories/open_model_zoo/public/2022.1"
_BVLC = "http://dl.caffe.berkeleyvision.org"
_VGG = "http://www.robots.ox.ac.uk/~vgg/software/very_deep/caffe"
_TORCH = "https://download.pytorch.org/models"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
_HUB = "https://huggingface.co/timm"
_FACENET = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9"


def _keras_applications(
    model: str, whole: str, body: str, top1: float, top5: float, licence: str, preprocessing: Preprocessing
) -> Iterator[PublishedWeights]:
    """Yields the two published files of a network: one with its top, and a smaller one without it."""
    for name, ending, digits in (("imagenet/keras", "", whole), ("imagenet/keras-notop", "_notop", body)):
        file = f"{model}_weights_tf_dim_ordering_tf_kernels{ending}.h5"
        yield PublishedWeights(
            model=model,
            name=name,
            file=file,
            url=f"{_KERAS}/{model}/{file}",
            checksum=f"md5:{digits}",
            source="keras_applications",
            preprocessing=preprocessing,
            licence=licence,
            top1=None if ending else top1,
            top5=None if ending else top5,
        )


PUBLISHED = (
    # tests/publish.py creates this file from a finished training, and updates the checksum below.
    PublishedWeights(
        model="googlenet_bn",
        name="fashion_mnist",
        file="googlenet_bn_fashion_mnist.weights.h5",
        checksum="sha256:0cb3363d25169f9b58a42772173d176b62bd0f8e6857271d444f797d6fc12a65",
        dataset="fashion_mnist",
    ),
    PublishedWeights(
        model="googlenet_slim",
        name="imagenet/slim",
        file="inception_v1_2016_08_28.tar.gz",
        url=f"{_SLIM}/inception_v1_2016_08_28.tar.gz",
        mirrors=(f"{_ZOO}/googlenet-v1-tf/inception_v1_2016_08_28.tar.gz",),
        size=24_642_554,
        checksum="sha256:7a620c430fcaba8f8f716241f5148c4c47c035cce4e49ef02cfbe6cd1adf96a6",
        source="slim",
        preprocessing=MINUS_ONE_TO_ONE,
        licence="Apache-2.0",
        top1=0.6981,
        top5=0.8961,
    ),
    PublishedWeights(
        model="googlenet_bvlc",
        name="imagenet/bvlc",
        file="bvlc_googlenet.caffemodel",
        url=f"{_BVLC}/bvlc_googlenet.caffemodel",
        mirrors=(f"{_ZOO}/googlenet-v1/bvlc_googlenet.caffemodel",),
        size=53_533_754,
        checksum="sha256:6f7101e3a2183738a7125a0c5021ba82a1feb4228c5ca0924d991b6daf6f6fad",
        source="caffe",
        preprocessing=MEAN_SUBTRACTED_BGR,
        licence="unrestricted use",
        top1=0.6893,
        top5=0.8914,
    ),
    PublishedWeights(
        model="googlenet_torchvision",
        name="imagenet/torchvision",
        file="googlenet-1378be20.pth",
        url=f"{_TORCH}/googlenet-1378be20.pth",
        checksum="sha256:1378be20",
        source="torchvision",
        preprocessing=MINUS_ONE_TO_ONE,
        licence="BSD-3-Clause",
        top1=0.6978,
        top5=0.8953,
    ),
    PublishedWeights(
        model="inception_v2",
        name="imagenet/slim",
        file="inception_v2_2016_08_28.tar.gz",
        url=f"{_SLIM}/inception_v2_2016_08_28.tar.gz",
        mirrors=(f"{_ZOO}/googlenet-v2-tf/inception_v2_2016_08_28.tar.gz",),
        size=41_577_079,
        checksum="sha384:c0b2efbae8fc5e237ae67637dca3f311d4b4f7da576b56067e83d95c398a2fcc"
        "d50baff9cc0de64335f4d7b78e1adb07",
        source="slim",
        preprocessing=MINUS_ONE_TO_ONE,
        licence="Apache-2.0",
        top1=0.7409,
        top5=0.9180,
    ),
    *_keras_applications(
        "inception_v3",
        "9a0d58056eeedaa3f26cb7ebd46da564",
        "bcbd6486424b2319ff4ef7d526e38f63",
        0.779,
        0.937,
        "Apache-2.0",
        MINUS_ONE_TO_ONE,
    ),
    # These weights are a port of TensorFlow's, whose average pooling ignores the padding, as the network here does.
    # torchvision's average pooling includes the zeros of the padding, so its published accuracy does not apply here.
    PublishedWeights(
        model="inception_v3",
        name="imagenet/torchvision",
        file="inception_v3_google-0cc3c7bd.pth",
        url=f"{_TORCH}/inception_v3_google-0cc3c7bd.pth",
        checksum="sha256:0cc3c7bd",
        source="torchvision",
        preprocessing=MINUS_ONE_TO_ONE,
        licence="BSD-3-Clause",
    ),
    PublishedWeights(
        model="inception_v4",
        name="imagenet/slim",
        file="inception_v4_2016_09_09.tar.gz",
        url=f"{_SLIM}/inception_v4_2016_09_09.tar.gz",
        mirrors=(f"{_ZOO}/googlenet-v4-tf/inception_v4_2016_09_09.tar.gz",),
        size=171_177_982,
        checksum="sha384:97765872563bf059728f96faa4aef86fa20ffe10c099f7bc2990adacc9a41a73"
        "549c45e939441a7e4f1dc2f45127a2d2",
        source="slim",
        preprocessing=MINUS_ONE_TO_ONE,
        licence="Apache-2.0",
        top1=0.8021,
        top5=0.9520,
    ),
    PublishedWeights(
        model="inception_v4",
        name="imagenet/timm",
        file="inception_v4.tf_in1k.safetensors",
        url=f"{_HUB}/inception_v4.tf_in1k/resolve/main/model.safetensors",
        checksum="sha256:a756a086851c8d5a8de135ec15c76b90ea56cb5aef450e3299107e659e725bb1",
        source="timm",
        preprocessing=MINUS_ONE_TO_ONE,
        licence="Apache-2.0",
        top1=0.8014,
        top5=0.9498,
    ),
    *_keras_applications(
        "inception_resnet_v2",
        "e693bd0210a403b3192acc6073ad2e96",
        "d19885ff4a710c122648d3b5c3b684e4",
        0.803,
        0.953,
        "Apache-2.0",
        MINUS_ONE_TO_ONE,
    ),
    PublishedWeights(
        model="inception_resnet_v2",
        name="imagenet/timm",
        file="inception_resnet_v2.tf_in1k.safetensors",
        url=f"{_HUB}/inception_resnet_v2.tf_in1k/resolve/main/model.safetensors",
        checksum="sha256:dbea26b13a5fc8351919fed6a94222c0577ce324b2765fd081a798f837ca9d72",
        source="timm",
        preprocessing=replace(MINUS_ONE_TO_ONE, crop_fraction=0.8975),  # timm's crop_pct
        licence="Apache-2.0",
        top1=0.8043,
        top5=0.9531,
    ),
    PublishedWeights(
        model="inception_resnet_v1",
        name="vggface2",
        file="20180402-114759-vggface2.pt",
        url=f"{_FACENET}/20180402-114759-vggface2.pt",
        size=111_898_327,
        checksum="sha256:281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        source="facenet",
        # fixed_image_standardization in facenet-pytorch's models/mtcnn.py, applied to faces that are already cropped
        preprocessing=replace(MINUS_ONE_TO_ONE, scale=1 / 128, crop_fraction=1.0),
        input_shape=(160, 160, 3),
        dataset=None,
        licence="MIT; its data, VGGFace2, is for research and not for commercial use",
        images="cropped faces; the embedding and the head that follow the body in facenet-pytorch are not included",
    ),
    PublishedWeights(
        model="alexnet",
        name="imagenet/torchvision",
        file="alexnet-owt-7be5be79.pth",
        url=f"{_TORCH}/alexnet-owt-7be5be79.pth",
        checksum="sha256:7be5be79",
        source="torchvision",
        preprocessing=STANDARDIZED_RGB,
        licence="BSD-3-Clause",
        top1=0.5652,
        top5=0.7907,
    ),
    PublishedWeights(
        model="alexnet_caffe",
        name="imagenet/bvlc",
        file="bvlc_alexnet.caffemodel",
        url=f"{_BVLC}/bvlc_alexnet.caffemodel",
        mirrors=(f"{_ZOO}/alexnet/bvlc_alexnet.caffemodel",),
        size=243_862_414,
        checksum="sha384:f102235bc9d8f422a04d5254a21fd1862986eae91c7337714fd5d78dcf37f835"
        "d05ed7943e80056ae19ca9e9c054c181",
        source="caffe",
        preprocessing=replace(MEAN_SUBTRACTED_BGR, crop_fraction=227 / 256),
        licence="unrestricted use",
        top1=0.5660,
        top5=0.7981,
    ),
    *_keras_applications(
        "vgg16",
        "64373286793e3c8b2b4e3219cbf3544b",
        "6d6bbae143d832006294945121d1f1fc",
        0.713,
        0.901,
        "CC-BY-4.0",
        MEAN_SUBTRACTED_BGR_VGG,
    ),
    PublishedWeights(
        model="vgg16",
        name="imagenet/vgg",
        file="VGG_ILSVRC_16_layers.caffemodel",
        url=f"{_VGG}/VGG_ILSVRC_16_layers.caffemodel",
        mirrors=(f"{_ZOO}/vgg16/VGG_ILSVRC_16_layers.caffemodel",),
        size=553_432_081,
        checksum="sha384:8ed7890af721fa22a9a356c00ec8360984f572b37991d1a5d70993ece85a0d25"
        "d675f02ff27c443523be1b61b9bb3d15",
        source="caffe",
        preprocessing=MEAN_SUBTRACTED_BGR_VGG,
        licence="CC-BY-4.0",
        top1=0.7097,
        top5=0.8988,
    ),
    PublishedWeights(
        model="vgg16",
        name="imagenet/torchvision",
        file="vgg16-397923af.pth",
        url=f"{_TORCH}/vgg16-397923af.pth",
        checksum="sha256:397923af",
        source="torchvision",
        preprocessing=STANDARDIZED_RGB,
        licence="BSD-3-Clause",
        top1=0.7159,
        top5=0.9038,
    ),
    *_keras_applications(
        "vgg19",
        "cbe5617147190e668d6c5d5026f83318",
        "253f8cb515780f3b799900260a226db6",
        0.713,
        0.900,
        "CC-BY-4.0",
        MEAN_SUBTRACTED_BGR_VGG,
    ),
    PublishedWeights(
        model="vgg19",
        name="imagenet/vgg",
        file="VGG_ILSVRC_19_layers.caffemodel",
        url=f"{_VGG}/VGG_ILSVRC_19_layers.caffemodel",
        mirrors=(f"{_ZOO}/vgg19/VGG_ILSVRC_19_layers.caffemodel",),
        size=574_671_192,
        checksum="sha384:86b83739d448a81ddc927922d4d7581e06113478106b59480097b02cc63ff51c"
        "9da7c3cd8a865b08946d07d0281d5b2e",
        source="caffe",
        preprocessing=MEAN_SUBTRACTED_BGR_VGG,
        licence="CC-BY-4.0",
        top1=0.7106,
        top5=0.8983,
    ),
    PublishedWeights(
        model="vgg19",
        name="imagenet/torchvision",
        file="vgg19-dcbb9e9d.pth",
        url=f"{_TORCH}/vgg19-dcbb9e9d.pth",
        checksum="sha256:dcbb9e9d",
        source="torchvision",
        preprocessing=STANDARDIZED_RGB,
        licence="BSD-3-Clause",
        top1=0.7238,
        top5=0.9088,
    ),
)
