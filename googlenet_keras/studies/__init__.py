"""Runs studies: trains several recipes with several seeds, and compares the results in a table and a plot."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
