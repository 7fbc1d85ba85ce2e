"""What a type checker, and so an editor, knows of the package where somebody else's file imports it."""

import importlib
import os
import re
import site
import subprocess
import sys
from pathlib import Path

import pytest

import googlenet_keras

# The packages whose names are looked up when they are first used: a type checker has their stubs only.
LAZY = ("", ".data", ".describe", ".evaluation", ".images", ".studies", ".training")
ERRORS = {
    'googlenet_keras.train("a recipe\'s name", Path())': 'incompatible type "str"; expected "Recipe"',
    "googlenet_keras.list_model()": 'Module has no attribute "list_model"',
    "googlenet_keras.list_models()[0].endpoints": '"str" has no attribute "endpoints"',
}
REVEALED = {
    "googlenet_keras.create_model": r"def \(name: str, \*\*kwargs: Any\)",
    "googlenet_keras.train": r"def \(recipe: googlenet_keras\.training\.recipe\.Recipe, output: .*\)",
    "googlenet_keras.evaluate": r"def \(name: str \| None, .*\) -> googlenet_keras\.evaluation\..*\.Evaluation",
    "googlenet_keras.Classifier.load": r"def \(path: .*\) -> googlenet_keras\.deploy\..*\.Classifier",
}


def lines_of_mypy(folder: Path, lines: list[str]) -> dict[str, str]:
    """What mypy says of each line of a file that stands in a folder of its own."""
    modules = [f"googlenet_keras{package}" for package in LAZY]
    imports = [f"import {module}" for module in modules] + ["from pathlib import Path"]
    (folder / "user.py").write_text("\n".join(imports + lines) + "\n")
    package = str(Path(googlenet_keras.__file__).parents[1])
    # mypy finds an installed package itself, unless the installation is editable.
    path = {} if package in site.getsitepackages() else {"MYPYPATH": package}
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), "user.py"],
        cwd=folder,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    said = re.findall(r"^user\.py:(\d+): (.*)$", result.stdout, re.MULTILINE)
    assert said, result.stdout + result.stderr
    return {lines[int(number) - len(imports) - 1]: message for number, message in said}


@pytest.mark.slow
def test_a_type_checker_knows_every_name(tmp_path):
    """Editors complete and check no call of the package, or believe in names that are not there."""
    names = [
        f"{module.__name__}.{name}"
        for module in (importlib.import_module(f"googlenet_keras{package}") for package in LAZY)
        for name in module.__all__
    ]
    said = lines_of_mypy(tmp_path, [f"reveal_type({name})" for name in [*names, *REVEALED]] + list(ERRORS))
    unknown = [name for name in names if not said[f"reveal_type({name})"].startswith("note: Revealed type is")]
    assert not unknown
    assert not [name for name in names if said[f"reveal_type({name})"] == 'note: Revealed type is "Any"']
    for name, revealed in REVEALED.items():
        assert re.search(revealed, said[f"reveal_type({name})"])
    for line, error in ERRORS.items():
        assert error in said[line]
