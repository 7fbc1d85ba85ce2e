"""GoogLeNet in Keras 3: the factory, the build script and what belongs around them.

Names are looked up when they are first used, so that ``import googlenet_keras`` and the commands' ``--help`` cost
next to nothing.
"""

import lazy_loader

from googlenet_keras import registration

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

registration.register_with_keras()
