from .decoding import (
    MOST_PIXELS as MOST_PIXELS,
    Inspection as Inspection,
    decode_box as decode_box,
    decode_image as decode_image,
    inspect_image as inspect_image,
    refusal as refusal,
)
from .fitting import change_channels as change_channels, fit_images as fit_images, resize as resize
from .formats import SUFFIXES as SUFFIXES, image_files as image_files
from .preprocessing import Preprocessing as Preprocessing
