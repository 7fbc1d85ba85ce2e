"""Registers the package's own classes with Keras, which can only load a model whose classes are registered."""

import contextlib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType

# Every module that registers a class. After Keras has been imported, importing these modules costs almost nothing.
MODULES = ("googlenet_keras.layers", "googlenet_keras.training.muon")


def register_with_keras() -> None:
    """Registers the package's layers and its optimizer: now if Keras is imported, or else right after its import."""
    if sys.modules.get("keras"):
        _register()
    else:
        sys.meta_path.insert(0, _AfterKeras())


def _register() -> None:
    for module in MODULES:
        importlib.import_module(module)


class _AfterKeras:
    """Leaves it to the other finders to find Keras, and registers the classes after Keras has been imported.

    ``import googlenet_keras`` and every command's ``--help`` take milliseconds, but an import of Keras takes seconds,
    so the package must not import Keras only to register its classes. Keras has no hook for classes that are not
    imported yet, and does not import the module that a saved model names.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec that the finders after this one return for Keras, and None for any other module."""
        if name != "keras":
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            self._register_after(spec.loader)
        return spec

    def _register_after(self, loader: Loader) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(self)
            _register()

        # The loader is changed, not wrapped, because resources and source code are read through the same object.
        loader.exec_module = exec_module  # type: ignore[method-assign]  # changes this loader only
