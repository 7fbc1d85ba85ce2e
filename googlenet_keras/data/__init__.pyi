from .archives import prepare_fashion_mnist as prepare_fashion_mnist
from .augmentation import Augmentation as Augmentation
from .datasets import open_dataset as open_dataset, trained_split as trained_split
from .digits import prepare_mnist_5000 as prepare_mnist_5000
from .pipeline import Batches as Batches, Timed as Timed
from .splits import Dataset as Dataset, Split as Split
