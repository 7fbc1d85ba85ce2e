"""Names the types of Keras's arguments, for which Keras itself has no names."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

# What a layer takes and returns while a model is built. While it computes, that is a tensor of the backend, which has
# no common type.
Tensor: TypeAlias = keras.KerasTensor
# A name or a Keras config, never an instance, which would draw the same numbers for every layer.
Initializer: TypeAlias = str | dict[str, Any]
# As `keras.activations.get` takes it; None is no activation.
Activation: TypeAlias = str | dict[str, Any] | Callable[[Tensor], Tensor] | None
# As `keras.regularizers.get` takes it.
Regularizer: TypeAlias = str | dict[str, Any] | keras.Regularizer | None
# A dtype policy or its name; None is the global policy.
Dtype: TypeAlias = str | keras.DTypePolicy | None
