"""Reports what a model costs and what it looks like; as a command, ``python -m googlenet_keras.describe``.

Names are looked up when they are first used, so that the command's ``--help`` costs next to nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
