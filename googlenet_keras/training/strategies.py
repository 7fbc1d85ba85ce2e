"""Which devices a model lives on: tf.distribute strategies by name."""

import tensorflow as tf

STRATEGIES = ("auto", "cpu", "gpu", "mirrored")


def create_strategy(name: str = "auto") -> tuple[tf.distribute.Strategy, str]:
    """Makes the strategy in whose scope a model is to be built.

    Args:
        name: ``"cpu"`` and ``"gpu"`` are the first device of their kind; ``"mirrored"`` is every GPU, or every
            logical CPU where there is no GPU; ``"auto"`` is every GPU there is, or else the CPU.

    Returns:
        The strategy, and in words what it took.

    Raises:
        ValueError: If the name is unknown, or a GPU is asked for and there is none.
    """
    if name not in STRATEGIES:
        raise ValueError(f"The strategy must be one of {', '.join(STRATEGIES)}. Received: {name!r}")
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    cpus = [device.name for device in tf.config.list_logical_devices("CPU")]
    if name == "gpu" and not gpus:
        raise ValueError("TensorFlow sees no GPU here: use the strategy auto or cpu. Received: 'gpu'")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = gpus or cpus
        kind = "GPU" if gpus else "CPU"
        return tf.distribute.MirroredStrategy(devices), f"mirrored over {len(devices)} {kind}{'s' * (len(devices) > 1)}"
    device = cpus[0] if name == "cpu" or not gpus else gpus[0]
    return tf.distribute.OneDeviceStrategy(device), f"one {'GPU' if device in gpus else 'CPU'}"
