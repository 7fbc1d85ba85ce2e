"""Everything that the README and the pages of docs/ print runs as printed."""

import csv
import itertools
import json
import re
import shlex
import shutil
from statistics import fmean

import pytest
import test_classic
import test_googlenet
import test_inception
from conftest import ROOT
from processes import Fork

import googlenet_keras
from googlenet_keras import list_models

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
BLOCKS = [
    block
    for text in (README, *PAGES.values())
    for block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.DOTALL)
]
# A command that a page repeats is run once.
COMMANDS = [*dict.fromkeys(line for language, block in BLOCKS if language == "sh" for line in block.splitlines())]
PYTHON = [block for language, block in BLOCKS if language == "python"]
# What is printed below a block of commands is of the last of them.
PRINTED = {
    before.splitlines()[-1]: block
    for (_, before), (language, block) in itertools.pairwise(BLOCKS)
    if language == "text"
}
# What would take hours is run as printed, but for so much: a step or two of small images of the sample.
SHORTER = {
    "googlenet_keras.train": " --epochs 1 --steps-per-epoch 1 --batch-size 8 --validation-split 'test[:16]'",
    "googlenet_keras.evaluate": " --split 'test[:16]'",
}
SAMPLE = ROOT / "tests" / "data" / "fashion_mnist_sample"
# Debian's package, which .ci/run installs: tests/test_data.py prepares it.
ARCHIVES = "googlenet_keras.data prepare"
# tests/test_benchmark.py runs these.
BENCHMARKS = "googlenet_keras.benchmark"
# These make a new environment: .ci/run runs them, in one.
INSTALLS = ["pip install . && python -m googlenet_keras.export", 'pip install ".[test]" && pytest']


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """The package as a user has it in front of them."""
    folder = tmp_path_factory.mktemp("readme") / "checkout"
    shutil.copytree(ROOT / "googlenet_keras", folder / "googlenet_keras", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_every_block_is_run_by_some_test():
    assert {language for language, _ in BLOCKS} == {"sh", "python", "text"}
    assert [line for line in COMMANDS if line.startswith("pip")] == INSTALLS
    assert all(line.startswith(("pip install", "python -m googlenet_keras.")) for line in COMMANDS)
    assert len(PYTHON) == 4
    assert len(PRINTED) == 2
    assert len(README.splitlines()) <= 200  # two minutes


def test_ci_runs_the_install_lines():
    script = (ROOT / ".ci" / "run").read_text()
    assert "grep '^pip install' README.md" in script
    assert re.findall(r"^pip install.*$", README, re.MULTILINE) == INSTALLS


def run(checkout, *arguments):
    with Fork(*arguments, folder=checkout, TFDS_DATA_DIR=str(SAMPLE)) as process:
        said, error = process.communicate()
    assert process.returncode == 0, error
    return said


# The commands of which the quick suite has the like elsewhere, or that build large networks.
LONG = ("googlenet_keras.export", "exports/", "--compare", "googlenet_keras.explain", *SHORTER)


@pytest.mark.parametrize("slow", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_commands(checkout, slow):
    for line in COMMANDS:
        long = any(part in line for part in LONG)
        if line not in INSTALLS and ARCHIVES not in line and BENCHMARKS not in line and long == slow:
            shorter = "".join(flags for command, flags in SHORTER.items() if command in line)
            python, *arguments = shlex.split(line + shorter)
            assert python == "python"
            said = run(checkout, *arguments)
            assert said, line
            for expected in PRINTED.get(line, "").splitlines():
                assert any(like(expected, received) for received in said.splitlines()), (expected, said)


def like(line, other):
    """Whether two lines have the same words, and the same numbers but for what processors do to the last digits."""
    words, others = line.split(), other.split()
    return len(words) == len(others) and all(
        one == two or (one[0].isdigit() and two[0].isdigit() and number(one) == pytest.approx(number(two), rel=0.02))
        for one, two in zip(words, others, strict=True)
    )


def number(word):
    found = re.match(r"[\d.]+", word.replace(",", ""))
    return float(found[0])


# Training GoogLeNet's three heads takes a quarter of a minute, and so does a visualization.
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, marks=[pytest.mark.slow] if re.search(r"\.fit\(|visualize\(", block) else [])
        for block in PYTHON
    ],
    ids=lambda block: block.splitlines()[-1][:40],
)
def test_python(block, checkout):
    run(checkout, "-c", block)


ROWS = re.findall(r"^\| `(\w+)` \| .*? \| ([\d,]+) \| .*?\|$", README, re.MULTILINE)


def test_table_names_every_model():
    assert sorted(name for name, _ in ROWS) == list_models()


# What other tests hold the networks to.
KNOWN = {
    **{name: counts[0] for name, counts in (test_googlenet.PARAMETERS | test_inception.COSTS).items()},
    **test_classic.VGG_PARAMETERS,
    **test_classic.OTHER_PARAMETERS,
    "googlenet_d2l": test_googlenet.D2L_PARAMETERS,
}


def test_parameters_in_the_table():
    assert {name: int(parameters.replace(",", "")) for name, parameters in ROWS} == KNOWN


RESULTS = re.findall(
    r"^\| (\w+), (\d+)x\2 \| (\w+), (\d+) epochs \| ([\d.]+) \| ([\d,]+) \|$", PAGES["results.md"], re.MULTILINE
)


@pytest.mark.parametrize("row", RESULTS, ids=lambda row: f"{row[2]}-{row[3]}")
def test_results_are_those_of_the_logs(row):
    """Means over the seeds that were run."""
    model, size, recipe, epochs, accuracy, seconds = row
    logs = []
    for folder in sorted((ROOT / "tests" / "benchmarks" / "results").glob(f"{recipe}_{epochs}_epochs_seed*")):
        results = json.loads((folder / "results.json").read_text())
        trained = [str(results["recipe"][name]) for name in ("model", "input_size", "epochs")]
        assert trained == [model, size, epochs]
        logs.append(list(csv.DictReader((folder / "log.csv").read_text().splitlines())))
        assert float(logs[-1][-1]["val_accuracy"]) == results["val_accuracy"]
    there = [next(float(row["cpu_seconds"]) for row in log if float(row["val_accuracy"]) >= 0.899) for log in logs]
    assert float(accuracy) == pytest.approx(fmean(float(log[-1]["val_accuracy"]) for log in logs), abs=5.1e-5)
    assert float(seconds.replace(",", "")) == pytest.approx(fmean(there), abs=0.51)


FINETUNING = re.findall(r"^\| ([a-z, ]+) \|((?: \d\.\d+ \([\d. to]+\) \|)+)$", PAGES["fine_tuning.md"], re.MULTILINE)


@pytest.mark.parametrize("row", FINETUNING, ids=lambda row: row[0])
def test_fine_tuning_is_that_of_the_results(row):
    """Means and extremes over the seeds."""
    method, cells = row
    results = json.loads((ROOT / "tests" / "benchmarks" / "results" / "finetuning" / "results.json").read_text())
    printed = [[float(number) for number in re.findall(r"\d\.\d+", cell)] for cell in cells.split("|")[:-1]]
    for numbers, size in zip(printed, results["sizes"], strict=True):
        found = [
            one["accuracy"]
            for one in results["rows"]
            if (one["method"], one["images_per_class"]) == (method, int(size))
        ]
        assert len(found) == 3
        assert numbers == [pytest.approx(value, abs=5.1e-4) for value in (fmean(found), min(found), max(found))]


def test_there_are_results():
    assert RESULTS
    assert len(FINETUNING) == 3


def test_accuracies_are_those_of_the_results():
    """The README repeats what the pages of results and of studies say."""
    rows = re.findall(r"^\| (\w+)[\w ]*, (\d+)x\2 \| `(\w+)`, (\d+) epochs \| ([\d.]+) \|$", README, re.MULTILINE)
    assert rows[: len(RESULTS)] == [row[:5] for row in RESULTS]
    others = rows[len(RESULTS) :]
    assert {recipe for _, _, recipe, _, _ in others} == {"d2l_alexnet", "d2l_vgg11", "d2l_nin"}
    for *_, accuracy in others:
        assert re.search(rf"^\|.* {re.escape(accuracy)} \|", PAGES["study.md"], re.MULTILINE)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{name}" for name in PAGES)])
def test_links_and_pictures_are_there(page):
    """Of links to other files; what is elsewhere is not asked for."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r'<img src="([^"]+)"|\]\(([^)#]+)', text):
        path = "".join(target)
        if not path.startswith(("http://", "https://")):
            assert ((ROOT / page).parent / path).exists(), path


@pytest.mark.slow
def test_the_site_has_every_page_and_every_public_name(python, tmp_path):
    """A reader of the site finds what the repository has: no link or reference is broken."""
    pytest.importorskip("sphinx")
    process = python("-m", "sphinx", "-W", "-q", "-b", "html", ROOT / "docs", tmp_path)
    assert process.returncode == 0, process.stderr
    assert {f"{page.removesuffix('.md')}.html" for page in PAGES} <= {path.name for path in tmp_path.iterdir()}
    notebooks = {path.stem for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert notebooks == {path.stem for path in (tmp_path / "notebooks").glob("*.html")}
    reference = (tmp_path / "api.html").read_text(encoding="utf-8")
    names = [name for name in googlenet_keras.__all__ if callable(getattr(googlenet_keras, name))]
    assert [name for name in names if f'id="googlenet_keras.{name}"' not in reference] == []


STUDIES = sorted((ROOT / "tests" / "benchmarks" / "results").glob("study_*/results.json"))


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.parent.name)
def test_accuracies_of_studies_are_those_of_the_results(file):
    """The page of the studies shows the mean of every training that is in the results."""
    rows = [row for row in PAGES["study.md"].splitlines() if row.startswith("| ")]
    for entry in json.loads(file.read_text())["entries"]:
        accuracy = entry["accuracy"]["mean"] if entry["accuracy"] else None
        if accuracy is not None:
            assert [row for row in rows if row.startswith(f"| {entry['name']} |") and f"{accuracy:.4f}" in row]
