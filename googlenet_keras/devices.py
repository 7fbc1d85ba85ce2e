"""What processors and accelerators this process has: the strategies by name, and the dtype that fits the hardware.

Nothing else in the package asks what hardware there is. TensorFlow is imported inside the functions, so that the layers
can ask on any Keras backend and importing this module costs nothing.
"""

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

STRATEGIES = ("auto", "none", "cpu", "gpu", "mirrored", "multi_worker", "tpu")
SLURM_PORT = 8888  # of a node's first task; the next ones take the next ports


def core_count() -> int:
    """How many of the machine's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_accelerators() -> bool:
    """Whether TensorFlow sees other devices than CPUs."""
    import tensorflow as tf

    return any(device.device_type != "CPU" for device in tf.config.list_logical_devices())


def create_strategy(name: str = "auto") -> tuple["tf.distribute.Strategy", str]:
    """Makes the strategy in whose scope a model is to be built.

    Args:
        name: ``"cpu"`` and ``"gpu"`` are the first device of their kind; ``"mirrored"`` is every GPU, or where
            there is none every logical CPU, of which each core becomes one if TensorFlow has not done anything yet;
            ``"auto"`` is every GPU there is, or else the CPU; ``"none"`` leaves the placing to TensorFlow.
            ``"multi_worker"`` is one process of several, told of each other by TF_CONFIG or by Slurm; it must come
            before TensorFlow has done anything. ``"tpu"`` is the TPU that TPU_NAME names.

    Returns:
        The strategy, and in words what it took.

    Raises:
        ValueError: If the name is unknown, a GPU is asked for and there is none, or nothing tells of other workers.
    """
    if name not in STRATEGIES:
        raise ValueError(f"The strategy must be one of {', '.join(STRATEGIES)}. Received: {name!r}")
    import tensorflow as tf

    if name == "none":
        return tf.distribute.get_strategy(), "TensorFlow's default device"
    if name == "multi_worker":
        return _multi_worker()
    if name == "tpu":
        return _tpu()
    if name == "mirrored" and not tf.config.list_physical_devices("GPU"):
        _one_cpu_per_core()
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


def is_chief(strategy: "tf.distribute.Strategy") -> bool:
    """Whether this process is the one that writes what all workers share: the chief, or else worker 0."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def has_other_workers(strategy: "tf.distribute.Strategy") -> bool:
    """Whether this process trains together with others."""
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and _workers(strategy.cluster_resolver) > 1


def _workers(resolver: "tf.distribute.cluster_resolver.ClusterResolver") -> int:
    return sum(len(tasks) for tasks in resolver.cluster_spec().as_dict().values())


def _one_cpu_per_core() -> None:
    """Makes a logical CPU of each core, unless TensorFlow's devices are settled.

    Replicas of one thread each do not wait for each other at every layer, as the threads of one replica do.
    """
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    if tf.config.get_logical_device_configuration(cpu):
        return
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * core_count())
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(core_count())


def _multi_worker() -> tuple["tf.distribute.Strategy", str]:
    import tensorflow as tf

    if "TF_CONFIG" in os.environ:
        resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    elif "SLURM_PROCID" in os.environ:
        resolver = _slurm()
    else:
        raise ValueError(
            "The strategy multi_worker needs TF_CONFIG to name the workers, or Slurm to start them: see SCALING in "
            "the README. Received: neither"
        )
    where = f"{resolver.task_type} {resolver.task_id} of {_workers(resolver)} workers"
    # TensorFlow says nothing until all of them have come, however long that takes.
    print(f"This is {where}; waiting for the others", flush=True)
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver), where


def _slurm() -> "tf.distribute.cluster_resolver.ClusterResolver":
    """The tasks of this Slurm step as workers, each with the GPUs that Slurm lets it see.

    TensorFlow's own resolver reads Slurm's variables, but makes a cluster that sorts node10 before node9, so that
    tasks have each other's addresses, and fails without GPUs, or where a task sees only its own.
    """
    import tensorflow as tf

    slurm = tf.distribute.cluster_resolver.SlurmClusterResolver(gpus_per_node=0, auto_set_gpu=False)
    nodes = slurm._resolve_task_configuration()
    addresses = [f"{node}:{SLURM_PORT + task}" for node, tasks in nodes.items() for task in range(tasks)]
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": addresses}),
        task_type="worker",
        task_id=int(os.environ["SLURM_PROCID"]),
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )


def _tpu() -> tuple["tf.distribute.Strategy", str]:
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            "TensorFlow finds no TPU here: name it in TPU_NAME, and install a TensorFlow built for it. "
            f"Received: {reason}"
        ) from None
    strategy = tf.distribute.TPUStrategy(resolver)
    return strategy, f"{strategy.num_replicas_in_sync} TPU cores"
