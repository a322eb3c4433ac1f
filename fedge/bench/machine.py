"""The machine a measurement was made on."""

import os
import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "fedge",
    "numpy",
    "onnxruntime",
    "onnx",
    "scikit-learn",
    "torch",
    "bitsandbytes",
    "pcodec",
    "zstandard",
)
_CPU_KEYS = ("model name", "Model", "Hardware")  # x86, ARM boards, older ARM kernels


def describe() -> dict[str, str]:
    """Processor, cores, memory, system, and the versions of the software involved."""
    facts = {
        "processor": _processor(),
        "architecture": platform.machine(),
        "cores": str(os.cpu_count()),
        "memory_mb": str(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            continue
    return facts


def peak_rss_mb() -> float:
    """This process's peak memory, as the system counts it."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    named = (facts[key] for key in _CPU_KEYS if facts.get(key))
    return next(named, platform.processor() or "unknown")
