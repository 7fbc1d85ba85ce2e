"""GoogLeNet and its family of networks in Keras 3, with tools to train, evaluate, explain and deploy them.

The names of the package are imported when they are first used, so that ``import googlenet_keras`` and the ``--help`` of
the commands take almost no time.
"""

import lazy_loader

from googlenet_keras import registration

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

registration.register_with_keras()
