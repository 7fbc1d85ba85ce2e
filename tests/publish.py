"""Publishes the weights of a finished training: writes the asset with its card, and its checksum in the catalogue.

Run it as ``python tests/publish.py RUN [DATA_DIR]``. RUN is the ``--output`` of the training. DATA_DIR is the folder
that holds Fashion-MNIST, if it is not the default folder of TensorFlow Datasets. The accuracy of the published file is
measured on the whole test split.
"""

import dataclasses
import hashlib
import re
import sys
from pathlib import Path

from googlenet_keras import evaluate, load_recipe
from googlenet_keras.weights import list_weights, read_card, shrink_weights, write_card

PACKAGE = Path(__file__).parents[1] / "googlenet_keras"


def command(recipe):
    """Returns the command of the training: the published recipe, and a flag for each field with another value."""
    published = dataclasses.asdict(load_recipe("fashion_mnist"))
    flags = [f" --{name.replace('_', '-')} {value}" for name, value in recipe.items() if published[name] != value]
    return f"python -m googlenet_keras.train --recipe fashion_mnist{''.join(flags)}"


def main(run, data_dir=None):
    (record,) = list_weights("googlenet_bn")
    weights = Path(run, "model.weights.h5")
    card = read_card(weights)
    if (card.model, card.dataset) != (record.model, record.name):
        raise SystemExit(f"weights/catalogue.py is about another training. Received: {card.model}, {card.dataset}")
    asset = PACKAGE / "assets" / record.file
    shipped = record.card()
    shrink_weights(weights, asset)
    accuracy = evaluate(None, [asset], data_dir=data_dir).scores.top1
    told = {"images": shipped.images, "licence": shipped.licence, "source": command(card.recipe)}
    write_card(weights, dataclasses.replace(card, accuracy=round(accuracy, 4), **told))
    shrink_weights(weights, asset)
    table = PACKAGE / "weights" / "catalogue.py"
    digest = hashlib.sha256(asset.read_bytes()).hexdigest()
    text, found = re.subn(record.checksum, f"sha256:{digest}", table.read_text(encoding="utf-8"))
    assert found == 1
    table.write_text(text, encoding="utf-8")
    print(f"{asset} ({asset.stat().st_size / 1e6:.2f} MB), accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
