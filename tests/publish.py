"""Ships a finished training's weights: the file among the assets, and in weights/published.py where it comes from.

Run it as ``python tests/publish.py RUN [DATA_DIR]``: RUN is the training's ``--output``, DATA_DIR where Fashion-MNIST
is, if not in TFDS's own folder. The accuracy is measured on all of the test split, of what is shipped.
"""

import dataclasses
import hashlib
import json
import re
import sys
from pathlib import Path

from googlenet_keras import evaluate_model, load_recipe
from googlenet_keras.weights import PUBLISHED, shrink_weights

PACKAGE = Path(__file__).parents[1] / "googlenet_keras"


def command(recipe):
    """The training's command: the published recipe, and the fields that were set otherwise."""
    published = dataclasses.asdict(load_recipe("fashion_mnist"))
    flags = [f" --{name.replace('_', '-')} {value}" for name, value in recipe.items() if published[name] != value]
    return f"python -m googlenet_keras.train --recipe fashion_mnist{''.join(flags)}"


def main(run, data_dir=None):
    (record,) = PUBLISHED
    recipe = json.loads(Path(run, "results.json").read_text())["recipe"]
    trained = recipe["model"], recipe["dataset"], recipe["input_size"]
    if trained != (record.model, "fashion_mnist", record.input_shape[0]):
        raise SystemExit(f"weights/published.py is about another training. Received: {trained}")
    asset = PACKAGE / "assets" / record.file
    shrink_weights(Path(run, "model.weights.h5"), asset)
    accuracy = evaluate_model(
        record.model, [asset], dataset="fashion_mnist", data_dir=data_dir, input_size=record.input_shape[0]
    ).scores.top1
    table = PACKAGE / "weights" / "published.py"
    text = table.read_text(encoding="utf-8")
    for field, value in (
        ("sha256", f'"{hashlib.sha256(asset.read_bytes()).hexdigest()}"'),
        ("source", f'"{command(recipe)}"'),
        ("accuracy", f"{accuracy:.4f}"),
    ):
        text, found = re.subn(rf"(?m)^        {field}=.*,$", f"        {field}={value},", text)
        assert found == 1, field
    table.write_text(text, encoding="utf-8")
    print(f"{asset} ({asset.stat().st_size / 1e6:.2f} MB), accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
