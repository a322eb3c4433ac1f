"""This machine as a board among the emulated ones."""

import os
import sys

from firmware_sim.tiers.base import Job
from firmware_sim.tiers.process import Process


def start(job: Job) -> Process:
    """Run a Python program with this process's own Python and packages.

    Device settings in this process's environment are not passed on to it.
    """
    own = {name: text for name, text in os.environ.items() if not name.startswith("FEDGE_DEVICE_")}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {**own, **one_thread, "PYTHONUNBUFFERED": "1", **job.environment}
    return Process([sys.executable, *job.words], folder=job.folder, environment=environment)
