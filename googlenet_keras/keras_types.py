"""Type aliases for the arguments of Keras, which does not define such aliases itself."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

# A layer takes and returns this type while a model is built. During computation it takes and returns tensors of the
# backend, and the backends' tensors have no common type.
Tensor: TypeAlias = keras.KerasTensor
# A name or a Keras config, but not an instance, because an instance would draw the same numbers for every layer.
Initializer: TypeAlias = str | dict[str, Any]
# Any value that `keras.activations.get` accepts; None means no activation.
Activation: TypeAlias = str | dict[str, Any] | Callable[[Tensor], Tensor] | None
# Any value that `keras.regularizers.get` accepts.
Regularizer: TypeAlias = str | dict[str, Any] | keras.Regularizer | None
# A dtype policy or its name; None means the global policy.
Dtype: TypeAlias = str | keras.DTypePolicy | None
