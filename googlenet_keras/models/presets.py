"""Reads and writes presets: folders with a trained network in KerasHub's layout, local or on the Hugging Face Hub.

Source: keras-team/keras-hub keras_hub/src/utils/preset_utils.py (the file names, and the fields of metadata.json).
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras

from googlenet_keras.files import output_folder, write_aside
from googlenet_keras.models.trained import load_model
from googlenet_keras.weights.cards import Card, save_weights
from googlenet_keras.weights.model_cards import model_card

HUB = "hf://"
WEIGHTS_FILE = "model.weights.h5"


def save_to_preset(model: keras.Model, folder: str | Path, card: Card) -> None:
    """Writes a trained network to a folder that `from_preset`, `create_model` and the Hugging Face Hub can read.

    Args:
        model: The network.
        folder: The folder for ``model.weights.h5``, ``config.json``, ``metadata.json`` and the model card
            ``README.md``. It is created if it does not exist, and existing files with these names are replaced.
        card: The facts about the network; see `read_card` and `Card`.

    Raises:
        OSError: If the folder cannot be written.
    """
    folder = Path(folder)
    config = {
        "module": "googlenet_keras",
        "class_name": "create_model",
        "config": {"name": card.model, "input_shape": card.input_shape, "classes": card.classes, **card.arguments},
        "preprocessing": card.preprocessing.as_dict(),
        "labels": card.labels,
    }
    metadata = {
        "keras_version": keras.__version__,
        "parameter_count": model.count_params(),
        "date_saved": datetime.now(UTC).strftime("%Y-%m-%d@%H:%M:%S"),
    }
    texts = {
        "config.json": json.dumps(config, indent=2, ensure_ascii=False) + "\n",
        "metadata.json": json.dumps(metadata, indent=2) + "\n",
        "README.md": model_card(card, parameters=model.count_params()),
    }
    with output_folder(folder):
        save_weights(model, folder / WEIGHTS_FILE, card)
        for name, text in texts.items():
            with write_aside(folder / name) as file:
                file.write(text.encode())


def is_preset(name: str) -> bool:
    """Returns whether a name is that of a preset: an address on the hub, or a folder with a weight file."""
    return name.startswith(HUB) or (Path(name) / WEIGHTS_FILE).is_file()


def from_preset(preset: str | Path, **changes: Any) -> keras.Model:
    """Builds the network that a preset holds, and loads its weights.

    Args:
        preset: A folder that `save_to_preset` or a training wrote, or ``hf://USER/REPOSITORY``, which is downloaded
            once and requires the extra ``hub``.
        **changes: Arguments of `create_model` that replace those of the card, such as ``include_top=False``.

    Raises:
        ValueError: If there is no such folder, or its weight file cannot be read or has no card.
        ModuleNotFoundError: If huggingface_hub is needed but not installed.
        RuntimeError: If the hub cannot be reached or has no such repository.
    """
    name = str(preset)
    folder = _download(name) if name.startswith(HUB) else Path(preset)
    if not (folder / WEIGHTS_FILE).is_file():
        raise ValueError(f"A preset is a folder with a file {WEIGHTS_FILE}. Received: {name!r}")
    return load_model(folder / WEIGHTS_FILE, **changes)


def _download(address: str) -> Path:
    try:
        import huggingface_hub
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"Presets on the hub need huggingface_hub: pip install 'googlenet-keras[hub]'. Received: {address!r}"
        ) from None
    repository = address.removeprefix(HUB)
    wanted = [WEIGHTS_FILE, "*.json", "README.md"]
    try:
        return Path(huggingface_hub.snapshot_download(repository, allow_patterns=wanted))
    except Exception as error:  # errors of the hub, the network and the disk have no common base class
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RuntimeError(f"The preset cannot be downloaded from the hub ({reason}). Received: {address!r}") from error
