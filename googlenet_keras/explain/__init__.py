"""Shows what a trained network looks at and responds to; also a command, ``python -m googlenet_keras.explain``.

The modules are imported when one of their names is first used, so that the command's ``--help`` stays fast.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
