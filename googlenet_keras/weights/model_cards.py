"""Writes the model card of a network for the Hugging Face Hub, which is Markdown with a YAML header.

Source of the fields in the header: huggingface.co/docs/hub/model-cards.
"""

import json

from googlenet_keras.weights.cards import Card

# The hub's names for the licences of the weights here. For any other licence, the card says "other" and adds its text.
_LICENCES = {"mit": "mit", "apache-2.0": "apache-2.0", "bsd-3": "bsd-3-clause", "cc-by-4.0": "cc-by-4.0"}


def model_card(card: Card, *, parameters: int, file: str = "model.weights.h5") -> str:
    """Returns the model card of a trained network as text.

    Args:
        card: The card in the weight file.
        parameters: The number of weights of the network.
        file: The path that the reader of the card will use, either a weight file or the folder of a SavedModel.
    """
    return f"{_head(card)}\n{_text(card, parameters, file)}"


def _head(card: Card) -> str:
    """Returns the header that the hub reads. JSON strings are used in it because they are valid YAML."""
    lines = ["library_name: keras", "pipeline_tag: image-classification", "tags:"]
    lines += [f"- {tag}" for tag in ("googlenet", "inception", "image-classification", card.model)]
    if card.licence:
        known = _LICENCES.get(card.licence.lower())
        lines += [f"license: {known}"] if known else ["license: other", f"license_name: {json.dumps(card.licence)}"]
    if _is_public(card.dataset):
        lines += ["datasets:", f"- {json.dumps(card.dataset)}"]
    if card.accuracy is not None:
        dataset = json.dumps(card.dataset if _is_public(card.dataset) else "the author's own images")
        lines += ["metrics:", "- accuracy", "model-index:", f"- name: {card.model}", "  results:"]
        lines += ["  - task:", "      type: image-classification", "    dataset:", f"      name: {dataset}"]
        lines += [f"      type: {dataset}", "    metrics:", "    - type: accuracy", f"      value: {card.accuracy:.4f}"]
    return "\n".join(["---", *lines, "---", ""])


def _is_public(dataset: str | None) -> bool:
    """Returns True if the name of a dataset may be published. The path of a folder stays private."""
    return dataset is not None and not dataset.startswith("folder:")


def _text(card: Card, parameters: int, file: str) -> str:
    height, width, channels = card.input_shape
    seen = f"the middle {card.preprocessing.crop_fraction:.1%} of" if card.preprocessing.crop_fraction < 1 else "all of"
    facts = {
        "Network": f"{card.model}, {parameters:,} parameters",
        "Input": f"{height}x{width} pixels, {'grey' if channels == 1 else 'RGB'}; it uses {seen} an image",
        "Classes": f"{card.classes}: {_some(card.labels)}" if card.labels else "none; it is a body without its top",
        "Trained on": card.dataset if _is_public(card.dataset) else card.dataset and "the author's own images",
        "Accuracy": None if card.accuracy is None else f"{card.accuracy:.2%}, one crop",
        "Images that it knows": card.images,
        "Source": card.source,
        "Licence": card.licence,
    }
    table = "\n".join(f"| {what} | {_cell(fact)} |" for what, fact in facts.items() if fact)
    return f"""# {card.model}

| | |
|---|---|
{table}

With the package googlenet_keras installed:

```sh
python -m googlenet_keras.predict {file} IMAGE
```
"""


def _some(labels: tuple[str, ...], most: int = 20) -> str:
    others = f" and {len(labels) - most} others" if len(labels) > most else ""
    return ", ".join(labels[:most]) + others


def _cell(text: str) -> str:
    """Returns a text in a form that cannot break a table: in one line and with escaped bars."""
    return " ".join(text.replace("|", "\\|").split())
