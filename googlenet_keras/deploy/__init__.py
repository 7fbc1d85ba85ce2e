"""Writes exported networks, verifies them and runs them.

Names are imported when they are first used, so that a process that runs an artifact imports only its runtime.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
