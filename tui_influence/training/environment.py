"""What a worker's environment must hold before its process starts. Imports no torch: it is read by the supervisor."""

_CPU = {
    # An allocator that keeps its pages and asks for huge ones: activations are freed and asked for again at every
    # step, and without this each step pays for the page faults.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    # Workers share the machine: an idle OpenMP thread must sleep, not spin on a core that another worker needs.
    "OMP_WAIT_POLICY": "PASSIVE",
    "GOMP_SPINCOUNT": "0",
}
_CUDA = {
    # cuBLAS is deterministic over several streams only with a workspace of fixed size.
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    # The numbers of GPUs are those of nvidia-smi and of the gauges; CUDA by itself puts the fastest first.
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}


def worker_environment(device: str, threads: int = 1) -> dict[str, str]:
    """Variables to add to a worker's environment before it starts; none of them has an effect later.

    Args:
        device: "cpu", "cuda" or "cuda:0".
        threads: that the worker will be given.
    """
    count = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    return {**_CPU, **count, **(_CUDA if device.startswith("cuda") else {})}
