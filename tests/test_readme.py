"""Everything that the README prints runs as printed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from googlenet_keras import create_model, list_models, model_record
from googlenet_keras.describe import count_multiply_adds

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if language == "sh" for line in block.splitlines()]
PYTHON = [block for language, block in BLOCKS if language == "python"]
# These make a new environment: .ci/run runs them, in one.
INSTALLS = ["pip install . && python -m googlenet_keras.export", 'pip install ".[test]" && pytest']


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The package as a user has it in front of them."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    shutil.copytree(ROOT / "googlenet_keras", folder / "googlenet_keras", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_every_block_is_run_by_some_test():
    assert {language for language, _ in BLOCKS} == {"sh", "python"}
    assert [line for line in COMMANDS if line.startswith("pip")] == INSTALLS
    assert all(line.startswith(("pip install", "python -m googlenet_keras.")) for line in COMMANDS)
    assert len(PYTHON) == 2


def test_ci_runs_the_install_lines():
    script = (ROOT / ".ci" / "run").read_text()
    assert "grep '^pip install' README.md" in script
    assert re.findall(r"^pip install.*$", README, re.MULTILINE) == INSTALLS


def run(command, checkout):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.run(
        command, cwd=checkout, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_commands(checkout, slow):
    for line in COMMANDS:
        if line not in INSTALLS and ("benchmark" in line) == slow:
            assert run(["sh", "-c", line], checkout), line


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.splitlines()[-1][:40])
def test_python(block, checkout):
    run([sys.executable, "-c", block], checkout)


def test_table_of_models():
    rows = re.findall(r"^\| `(googlenet\w*)` \| (.*?) \| ([\d,]+) \| .*?\|$", README, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == list_models()
    for name, _, parameters in rows:
        assert create_model(name).count_params() == int(parameters.replace(",", "")), name
        assert count_multiply_adds(create_model(name)) > 0
        assert model_record(name).description


def test_pictures_are_there():
    for source in re.findall(r'<img src="([^"]+)"', README):
        assert (ROOT / source).is_file()
