"""Detects the hardware of this process, creates strategies by name, and chooses the dtype that fits the hardware.

The other modules of the package learn from this one what hardware there is. TensorFlow is imported inside the
functions, so that the module can be imported on any Keras backend, and importing it takes almost no time.
"""

import contextlib
import functools
import os
import platform
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import tensorflow as tf

STRATEGIES = ("auto", "none", "cpu", "gpu", "mirrored", "multi_worker", "tpu")
SLURM_PORT = 8888  # the port of the first task on a node; the next tasks use the next ports

CPUINFO = Path("/proc/cpuinfo")
# Processors with one of these flags can multiply bfloat16 numbers. avx_ne_convert (oneDNN's avx2_vnni_2) only converts
# them to float32 and back, and with avx512f alone oneDNN emulates them. Source: oneDNN's developer guide, "Data Types".
BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")
# The instruction sets that oneDNN can be limited to and that lack bfloat16, because they are below avx512_core_bf16.
# Source: oneDNN's developer guide, "CPU Dispatcher Control".
ISAS_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")
# NVIDIA's tensor cores support bfloat16 since Ampere. Source: CUDA C++ Programming Guide, "Compute Capabilities".
COMPUTE_CAPABILITY = (8, 0)
# Seconds that a training step of googlenet_bn (64x64, batch 32) took on an AVX2-only machine (Zen 3 class, two cores).
FLOAT32_SECONDS, EMULATED_SECONDS = 1.24, 6.86


# The instruction sets that make arithmetic fast, by wide vectors or by products of 8-bit and 16-bit numbers.
INSTRUCTION_SETS = ("avx2", "fma", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd")


def instruction_sets() -> tuple[str, ...]:
    """Returns those of `INSTRUCTION_SETS` that ``/proc/cpuinfo`` lists; none if there is no such file."""
    text = CPUINFO.read_text(errors="replace") if CPUINFO.exists() else ""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    found = line[1].split() if line else []
    return tuple(name for name in INSTRUCTION_SETS if name in found)


def describe_processor() -> str:
    """Describes the processor: its model, the number of cores that this process may use, and its instruction sets."""
    text = CPUINFO.read_text(errors="replace") if CPUINFO.exists() else ""
    line = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    cores = core_count()
    parts = [line[1] if line else platform.machine(), f"{cores} core{'s' * (cores > 1)}", " ".join(instruction_sets())]
    return ", ".join(filter(None, parts))


def core_count() -> int:
    """Returns the number of the machine's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_accelerators() -> bool:
    """Returns whether TensorFlow sees devices other than CPUs."""
    import tensorflow as tf

    return any(device.device_type != "CPU" for device in tf.config.list_logical_devices())


def create_strategy(name: str = "auto") -> tuple["tf.distribute.Strategy", str]:
    """Creates the strategy in whose scope a model is to be built.

    Args:
        name: ``"auto"`` uses all GPUs, or the CPU if there are none. ``"cpu"`` and ``"gpu"`` use the first device of
            their kind. ``"mirrored"`` uses all GPUs, or all logical CPUs if there are no GPUs; if TensorFlow has not
            been used yet, each core becomes a logical CPU. ``"none"`` leaves the placement to TensorFlow.
            ``"multi_worker"`` makes this process one of several workers, which TF_CONFIG or Slurm describes; it must
            be created before TensorFlow is used. ``"tpu"`` uses the TPU that TPU_NAME names.

    Returns:
        The strategy, and a description of the devices that it uses.

    Raises:
        ValueError: If the name is unknown, the GPU or TPU that it asks for is not found, or neither TF_CONFIG nor Slurm
            describes the workers.
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


@dataclass(frozen=True)
class DtypeChoice:
    """A Keras dtype policy, and the reason for choosing it.

    Attributes:
        name: The name of the policy, such as ``"mixed_bfloat16"``.
        reason: The reason for the choice, as a phrase without a full stop.
    """

    name: str
    reason: str


def choose_dtype(requested: str = "auto", strategy: "tf.distribute.Strategy | None" = None) -> DtypeChoice:
    """Chooses the dtype policy to compute in.

    Args:
        requested: A Keras dtype policy, which is returned unchanged, or ``"auto"``, which chooses ``mixed_bfloat16``
            on hardware that computes bfloat16 natively (TPUs, GPUs of compute capability 8.0 or more, CPUs with
            AVX512_BF16 or AMX) and ``float32`` on all other hardware. A policy with bfloat16 triggers a UserWarning,
            once per process, if the hardware has to emulate bfloat16.
        strategy: The strategy whose devices compute; None means the strategy in whose scope the function is called.

    Returns:
        The policy, and the reason for it.
    """
    if requested != "auto" and "bfloat16" not in requested:
        return DtypeChoice(requested, "as asked for")
    native, reason = _computes_bfloat16(strategy)
    if requested == "auto":
        return DtypeChoice("mixed_bfloat16" if native else "float32", reason)
    if not native:
        _warn_of_emulation(reason)
    return DtypeChoice(requested, "as asked for")


def _computes_bfloat16(strategy: "tf.distribute.Strategy | None") -> tuple[bool, str]:
    """Returns whether a strategy's devices have native bfloat16 arithmetic, and the reason for the answer."""
    import tensorflow as tf

    strategy = strategy or tf.distribute.get_strategy()
    try:
        places = strategy.extended.worker_devices
        kinds = {tf.DeviceSpec.from_string(place).device_type for place in places}
    except RuntimeError:  # TensorFlow's default strategy has no list of devices.
        kinds = {device.device_type for device in tf.config.get_visible_devices()}
    if "TPU" in kinds:
        return True, "TPUs compute bfloat16"
    if "GPU" in kinds:
        gpus = tf.config.get_visible_devices("GPU")
        return gpus_compute_bfloat16([tf.config.experimental.get_device_details(gpu) for gpu in gpus])
    cpuinfo = CPUINFO.read_text(errors="replace") if CPUINFO.exists() else None
    return cpu_computes_bfloat16(cpuinfo, os.environ)


def cpu_computes_bfloat16(cpuinfo: str | None, environment: Mapping[str, str]) -> tuple[bool, str]:
    """Returns whether TensorFlow computes bfloat16 natively on a CPU, which it does only with oneDNN.

    Args:
        cpuinfo: The text of ``/proc/cpuinfo``, or None if there is no such file.
        environment: The environment variables of the process, which can turn oneDNN off or limit its instruction set.

    Returns:
        True if bfloat16 is computed natively and False if it is not, and the reason.
    """
    if environment.get("TF_ENABLE_ONEDNN_OPTS", "").lower() in ("0", "false"):
        return False, "TF_ENABLE_ONEDNN_OPTS turns oneDNN off, and without oneDNN TensorFlow emulates bfloat16"
    # oneDNN reads the older variable only if the newer one is not set.
    limit = environment.get("ONEDNN_MAX_CPU_ISA") or environment.get("DNNL_MAX_CPU_ISA", "")
    if limit.upper() in ISAS_WITHOUT_BFLOAT16:
        return False, f"oneDNN is limited to {limit}, which has no bfloat16 arithmetic"
    line = re.search(r"^flags\s*:(.*)$", cpuinfo or "", re.MULTILINE)
    if line is None:
        return False, f"the processor's features are unknown: {CPUINFO} has no x86 flags"
    found = [flag for flag in BFLOAT16_FLAGS if flag in line[1].split()]
    if found:
        return True, f"the processor computes bfloat16 ({', '.join(found)})"
    return False, f"the processor has no bfloat16 arithmetic (neither {' nor '.join(BFLOAT16_FLAGS)})"


class GPUDetails(TypedDict, total=False):
    """The fields of ``tf.config.experimental.get_device_details`` for a GPU; each may be missing."""

    device_name: str
    compute_capability: tuple[int, int]


def gpus_compute_bfloat16(gpus: Sequence[GPUDetails]) -> tuple[bool, str]:
    """Returns whether all GPUs compute bfloat16 natively.

    Args:
        gpus: The details of each GPU, from ``tf.config.experimental.get_device_details``.

    Returns:
        True if all of them do and False if not, and the reason, which names the GPU of the lowest compute capability.
    """
    weakest = min(gpus, key=lambda gpu: gpu.get("compute_capability", (0, 0)))
    name = weakest.get("device_name", "GPU")
    capability = weakest.get("compute_capability")
    if capability is None:
        return False, f"the compute capability of the {name} is unknown"
    needed = ".".join(map(str, COMPUTE_CAPABILITY))
    reason = f"the {name} has compute capability {'.'.join(map(str, capability))}"
    return capability >= COMPUTE_CAPABILITY, f"{reason}, and bfloat16 arithmetic needs {needed}"


@functools.cache
def _warn_of_emulation(reason: str) -> None:
    warnings.warn(
        f"bfloat16 is emulated here: {reason}. On an AVX2-only processor a training step of googlenet_bn took "
        f"{EMULATED_SECONDS / FLOAT32_SECONDS:.1f} times as long in mixed_bfloat16 as in float32. Use the dtype auto "
        "or float32 to avoid this",
        stacklevel=3,
    )


def is_chief(strategy: "tf.distribute.Strategy") -> bool:
    """Returns whether this process writes the shared files, which the chief does, or worker 0 if there is no chief."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def has_other_workers(strategy: "tf.distribute.Strategy") -> bool:
    """Returns whether this process trains together with others."""
    import tensorflow as tf

    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy) and _workers(strategy.cluster_resolver) > 1


def _workers(resolver: "tf.distribute.cluster_resolver.ClusterResolver") -> int:
    return sum(len(tasks) for tasks in resolver.cluster_spec().as_dict().values())


def _one_cpu_per_core() -> None:
    """Makes each core a logical CPU, unless TensorFlow's devices are already configured or in use.

    Replicas with one thread each do not wait for each other at every layer, unlike the threads of a single replica.
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
            "The strategy multi_worker needs TF_CONFIG to name the workers, or Slurm to start them: see "
            "docs/scaling.md. Received: neither"
        )
    where = f"{resolver.task_type} {resolver.task_id} of {_workers(resolver)} workers"
    # TensorFlow prints nothing until all workers are connected, however long that takes.
    print(f"This is {where}; waiting for the others", flush=True)
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver), where


def _slurm() -> "tf.distribute.cluster_resolver.ClusterResolver":
    """Makes the tasks of this Slurm step the workers, each with the GPUs that Slurm lets it see.

    TensorFlow's own resolver can read Slurm's variables, but its cluster sorts node10 before node9, so that tasks get
    each other's addresses. It also fails if there are no GPUs or if a task sees only its own GPUs.
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
