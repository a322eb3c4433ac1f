"""A device is told when there is no memory left, each time in a process of its own."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is free")

_ALL = """
from fedge.device.memory import within_memory
from fedge.errors import FedgeError
free = int(open("/proc/meminfo").read().split("MemAvailable:")[1].split()[0]) * 1024
try:
    with within_memory():
        bytearray({size})  # granted without a limit, because nobody uses it
        print("granted")
except FedgeError as error:
    print(error)
"""


def ask_for(size: str) -> str:
    command = [sys.executable, "-c", _ALL.format(size=size)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_all_of_the_free_memory_is_refused_in_a_sentence() -> None:
    said = ask_for("free")
    assert said.startswith("this machine has too little memory for the job (")
    assert "MiB were free at the start" in said


def test_a_part_of_the_free_memory_is_granted() -> None:
    assert ask_for("free // 4") == "granted"


def test_a_lower_limit_of_somebody_else_stays() -> None:
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
