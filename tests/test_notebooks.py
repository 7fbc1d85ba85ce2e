"""The notebooks run from top to bottom, and what they show is what they answer.

Run as ``python tests/test_notebooks.py docs/notebooks/NAME.ipynb`` this executes a notebook and keeps its outputs.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
MOST_BYTES = 200_000
# A folder that only one machine has. The base64 of a picture may say so too, and is not looked at.
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|usr|opt|var|work|mnt|Users|private)/|\b[A-Z]:\\")


def read(path):
    return pytest.importorskip("nbformat").read(path, 4)


def execute(path, folder):
    """The notebook with new outputs, of a kernel that is this very interpreter and works in a folder."""
    nbclient, kernels = pytest.importorskip("nbclient"), pytest.importorskip("jupyter_client")
    pytest.importorskip("ipykernel")
    notebook = read(path)
    # Without folders of registered kernels the only one is ipykernel's, of the interpreter that it is installed in.
    here = kernels.kernelspec.KernelSpecManager(kernel_dirs=[])
    client = nbclient.NotebookClient(
        notebook,
        km=kernels.AsyncKernelManager(kernel_name="python3", kernel_spec_manager=here),
        # What TensorFlow's C++ writes depends on the machine, and stays out of the notebook.
        extra_arguments=["--IPKernelApp.capture_fd_output=False"],
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": paths, "TMPDIR": str(folder), "IPYTHONDIR": str(folder / "ipython")}
    client.execute(cleanup_kc=True, env={**os.environ, **environment})
    return notebook


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(output):
    """What a cell answered, without its numbers, which may differ a little between processors."""
    data = output.get("data", {})
    text = output.get("text") or data.get("text/markdown") or data.get("text/plain", "")
    if "image/png" in data:
        text = "a picture"
    return output.output_type, output.get("name"), re.sub(r"[\d.,]*\d", "#", text).split()


@pytest.mark.slow
@notebooks
def test_runs_and_answers_what_it_shows(path, tmp_path):
    """A cell that fails is shown by nbclient, with its source and its traceback."""
    pytest.importorskip("mlxtend")
    executed = code_cells(execute(path, tmp_path))
    for cell, new in zip(code_cells(read(path)), executed, strict=True):
        assert [said(output) for output in new.outputs] == [said(output) for output in cell.outputs], cell.source


@notebooks
def test_is_committed_as_it_ran(path):
    """Whole, in order, without an error, small, and with nothing of the machine that it ran on."""
    cells = code_cells(read(path))
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert path.stat().st_size < MOST_BYTES
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error"
            shown = [output.get("text", ""), *(str(v) for k, v in output.get("data", {}).items() if k != "image/png")]
            assert not MACHINE_PATH.search("\n".join([cell.source, *shown])), cell.source


@notebooks
def test_links_lead_somewhere(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    for target in re.findall(r"\]\(([^)#]+)", "\n".join(texts)):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_there_are_notebooks():
    assert NOTEBOOKS


if __name__ == "__main__":
    import nbformat

    for name in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as work:
            made = execute(name, Path(work))
        # Without the interpreter's version; the site needs IPython's lexer for the lines that start with "!".
        made.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        nbformat.write(made, name)
