"""The wheels for the boards hold what their names promise, and the check on that sees what not."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from firmware_sim.boards import ARM64, ARMEL, ARMHF, SYSTEMS, System
from firmware_sim.build.audit import FUSED, Audit, audit, stable_interface
from firmware_sim.build.sources import CHECKOUT, Sources
from firmware_sim.build.toolchain import toolchain
from firmware_sim.build.wheels import wheel
from firmware_sim.errors import EmulationError
from firmware_sim.stock import cache
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated

by_machine = pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.machine)


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    for name in ("apt-get", *(f"{system.triplet}-gcc" for system in SYSTEMS)):
        need_tool(name)


# machine and floats; ARM's number of the architecture; the first C library that has all
EXPECTED = {
    "aarch64": ("EM_AARCH64", "-", 0, (2, 17)),
    "armv7l": ("EM_ARM", "hard", 10, (2, 4)),
    "armv6l": ("EM_ARM", "soft", 6, (2, 4)),
}


@by_machine
def test_a_wheel_is_what_its_tag_says(system: System) -> None:
    found = audit(wheel(system), system)
    assert found.complaints(system) == []
    assert found.tag == f"cp311-abi3-linux_{system.machine}"
    assert found.n_objects == len(list((CHECKOUT / "fedge/_kernels").glob("*.pyx")))
    facts = (found.machine, found.floats, found.architecture, found.glibc)
    assert facts == EXPECTED[system.machine]
    assert found.libraries == ("libc.so.6", "libm.so.6")


@by_machine
@pytest.mark.parametrize("python", ["3.11", "3.14"])
def test_pip_takes_a_wheel_on_its_machine_with_every_python(
    system: System, python: str, tmp_path: Path
) -> None:
    def takes(machine: str) -> bool:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
        only = ["--only-binary=:all:", "--no-index", "--find-links", str(wheel(system).parent)]
        there = ["--platform", f"linux_{machine}", "--python-version", python]
        words = [*pip, *only, *there, "--dest", str(tmp_path), "fedge"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    assert takes(system.machine)
    if python == "3.11":  # as good as any
        others = {each.machine for each in SYSTEMS} - {system.machine}
        assert not any(takes(machine) for machine in others)


@by_machine
def test_a_wheel_is_refused_on_another_machine(system: System) -> None:
    found = audit(wheel(system), system)
    for other in SYSTEMS:
        if other is not system:
            assert f"its tag is {found.tag}" in found.complaints(other)


def test_equal_sources_make_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packing, that is; to compile once more would take half a minute."""
    first = wheel(ARM64).read_bytes()
    for part in ("kernels", "headers"):
        (tmp_path / part).symlink_to(cache.home() / part)
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path))
    second = wheel(ARM64)
    assert second.is_relative_to(tmp_path)
    assert second.read_bytes() == first


def test_only_a_change_in_a_kernel_compiles_anew() -> None:
    now = Sources.read()
    for name, compiles in [("fedge/errors.py", False), ("fedge/_kernels/topk.pyx", True)]:
        changed = Sources({**now.files, name: now.files[name] + b"\n"})
        assert changed.digest != now.digest
        assert (changed.kernels != now.kernels) == compiles


def test_the_checkout_keeps_kernels_of_its_own_machine() -> None:
    wheel(ARM64)
    kernels = {path.name for path in (CHECKOUT / "fedge/_kernels").glob("*.so")}
    with zipfile.ZipFile(wheel(ARM64)) as archive:
        built = {Path(name).name: archive.read(name) for name in archive.namelist()}
    for name in kernels:
        assert (CHECKOUT / "fedge/_kernels" / name).read_bytes() != built.get(name)


def test_the_stable_interface_is_that_of_python_3_11() -> None:
    names = stable_interface(ARM64)
    assert {"PyBuffer_Release", "PyObject_GetBuffer", "_Py_Dealloc"} <= names
    assert not {"PyType_FromMetaclass", "_PyLong_Sign"} & names


# ---- wheels that lie ----

FUSING = "float f(float a, float b, float c) { return a * b + c; }"
PRIVATE = "int _PyLong_Sign(void *); int f(void *number) { return _PyLong_Sign(number); }"
RELOCATED = '__asm__(".text\\n.word puts\\n.text"); int f(void) { return 1; }'
STAT = "int stat(); int f(void) { return stat(); }"  # a function of the library since 2.33
PLAIN = "int f(void) { return 1; }"


def _wheel_of(folder: Path, system: System, code: str, flags: str = "", name: str = "a") -> Path:
    tools = toolchain(system)
    (folder / "f.c").write_text(code)
    words = [tools.compiler, *tools.flags, "-O2", "-shared", *flags.split(), "f.c", "-o", "f.so"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    path = folder / f"{name}-1-cp311-abi3-linux_{system.machine}.whl"
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(folder / "f.so", f"{len(archive.namelist())}.so")
    return path


@pytest.mark.parametrize(
    ("system", "code", "flags", "complaint"),
    [
        (ARM64, FUSING, "-fPIC", "1 instructions round once where two are promised"),
        (ARMHF, FUSING, "-fPIC -mfpu=vfpv4", "1 instructions round once where two are promised"),
        (ARM64, PRIVATE, "-fPIC", "nothing gives it _PyLong_Sign"),
        (ARM64, PLAIN, "-fPIC -Wl,--no-as-needed -lanl", "it wants libanl.so.1"),
        (ARMHF, RELOCATED, "-fPIC -Wl,-z,notext", "loading it changes its code"),
        (ARMEL, PLAIN, "-fPIC -march=armv7-a", "it needs ARM's architecture number 10"),
        (ARM64, STAT, "-fPIC", "it wants glibc 2.33"),
    ],
)
def test_a_wheel_that_lies_is_found_out(
    tmp_path: Path, system: System, code: str, flags: str, complaint: str
) -> None:
    honest = audit(_wheel_of(tmp_path, system, PLAIN, "-fPIC"), system)
    assert honest.complaints(system) == []
    lying = audit(_wheel_of(tmp_path, system, code, flags, name="b"), system)
    assert lying.complaints(system) == [complaint]


def test_soft_floats_in_a_wheel_for_hard_ones_are_found_out(tmp_path: Path) -> None:
    soft = audit(_wheel_of(tmp_path, ARMEL, PLAIN, "-fPIC"), ARMEL)
    assert _as_if_for(soft, ARMHF).complaints(ARMHF) == ["its calls pass floats the soft way"]


def test_a_wheel_for_two_kinds_of_machines_is_refused(tmp_path: Path) -> None:
    wheel = _wheel_of(tmp_path, ARM64, PLAIN, "-fPIC")
    (tmp_path / wheel.name.replace("aarch64", "armv7l")).write_bytes(wheel.read_bytes())
    mixed = _wheel_of(tmp_path, ARMHF, PLAIN, "-fPIC")
    with pytest.raises(EmulationError, match="code for 2 kinds of machines"):
        audit(mixed, ARMHF)


@pytest.mark.parametrize(
    ("line", "is_fused"),
    [
        ("  5c:\t1f000c41 \tfmadd\ts1, s2, s0, s3", True),
        ("  5c:\t4e23cc41 \tfmla\tv1.4s, v2.4s, v3.4s", True),
        ("  5c:\t4e239441 \tmla\tv1.4s, v2.4s, v3.4s", False),
        ("  5c:\teee10a21 \tvfma.f32\ts1, s2, s3", True),
        ("  5c:\teee10a21 \tvfmane.f64\td1, d2, d3", True),
        ("  5c:\tee010a21 \tvmla.f32\ts0, s2, s3", False),
        ("  5c:\t1e230841 \tfmul\ts1, s2, s3", False),
    ],
)
def test_fused_instructions_are_known_by_name(line: str, *, is_fused: bool) -> None:
    assert bool(FUSED.search(line)) == is_fused


def _as_if_for(found: Audit, system: System) -> Audit:
    fields = {name: getattr(found, name) for name in Audit.__dataclass_fields__}
    return Audit(**{**fields, "tag": f"cp311-abi3-linux_{system.machine}"})
