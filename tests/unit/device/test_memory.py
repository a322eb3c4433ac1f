"""A device gets an error when memory runs out; each test in its own process."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports free memory")

_ALL = """
from fedge.device.memory import within_memory
from fedge.errors import FedgeError
free = int(open("/proc/meminfo").read().split("MemAvailable:")[1].split()[0]) * 1024
try:
    with within_memory():
        bytearray({size})  # granted if there is no limit, because nobody uses it
        print("granted")
except FedgeError as error:
    print(error)
"""


def ask_for(size: str) -> str:
    command = [sys.executable, "-c", _ALL.format(size=size)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_asking_for_all_free_memory_is_refused_in_one_sentence() -> None:
    said = ask_for("free")
    assert said.startswith("this machine has too little memory for the job (")
    assert "MiB were free at the start" in said


def test_asking_for_part_of_the_free_memory_is_granted() -> None:
    assert ask_for("free // 4") == "granted"


def test_a_lower_limit_set_by_somebody_else_stays() -> None:
    program = """
import resource
from fedge.device.memory import within_memory
resource.setrlimit(resource.RLIMIT_DATA, (1 << 29, 1 << 30))
with within_memory():
    print(resource.getrlimit(resource.RLIMIT_DATA))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str((1 << 29, 1 << 30))
