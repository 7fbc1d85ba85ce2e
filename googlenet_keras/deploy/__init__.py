"""Writes exported networks, verifies them and runs them.

Names are looked up when they are first used, so that a process that asks an artifact has nothing but its runtime.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
