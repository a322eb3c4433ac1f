"""onnx for boards for which neither Debian nor the package index has one that runs graphs.

Debian 12 has 1.12 and `onnx.reference` came with 1.13; the index has no onnx for 32-bit ARM. So
the source of Debian 13's version is compiled here with the wheels' compiler, against Debian 12's
protobuf for the board. That is 57 files and takes one core five minutes. protoc is the board's too,
run by QEMU, so that the code it generates matches these headers exactly.
"""

import os
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.boards import System
from firmware_sim.build.toolchain import TARGET, toolchain
from firmware_sim.stock import cache, debian, programs
from firmware_sim.stock.item import Item, Tell
from firmware_sim.stock.packages import LOCKS, pip_download

_RECIPE = 1
_LOCK = LOCKS / "onnx.txt"
_TESTS = {"test", "backend"}  # onnx's own; nothing else imports them
_FLAGS = ("-O1", "-g0", "-w", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-Wno-psabi")
_DEFINED = ("-DONNX_NAMESPACE=onnx", "-DONNX_ML=1", "-D__STDC_FORMAT_MACROS")
_PROTOS = {"onnx": "onnx-ml", "onnx_operators": "onnx-operators-ml", "onnx_data": "onnx-data"}
_QEMU = "qemu-arm-static"


def programs_for(system: System) -> dict[str, str]:
    """The programs on this machine needed to compile it, each with its purpose."""
    if system.engine != "reference":
        return {}
    reason = "compiles onnx for the board"
    return {f"{system.triplet}-g++": reason, _QEMU: "runs the board's protoc"}


def item(system: System) -> Item:
    """A folder with the package `onnx`, for a 32-bit system with Python 3.11."""
    lock = _LOCK.read_text()

    def make(folder: Path, tell: Tell) -> None:
        for name in programs_for(system):
            programs.need(name)
        with tempfile.TemporaryDirectory() as temporary:
            work = _Work(system, Path(temporary), toolchain(system, tell).headers)
            _fetch(work, tell)
            _generate(work)
            tell(f"compiling onnx for {system.machine}: five minutes of one core")
            _compile(work)
            _install(work, folder)

    key = cache.key(_RECIPE, lock, system.suite, *TARGET[system.machine])
    return Item(f"onnx for {system.machine}", f"onnx/{system.machine}", key, make)


@dataclass(frozen=True, slots=True)
class _Work:
    """The folders used during the build."""

    system: System
    folder: Path
    headers: Path  # Python's and the C library's, as in the board's root

    @property
    def source(self) -> Path:
        (found,) = (self.folder / "source").glob("onnx-*")
        return found

    @property
    def protobuf(self) -> Path:
        """protobuf's headers, library and compiler, as in the board's root."""
        return self.folder / "protobuf"

    @property
    def libraries(self) -> Path:
        return self.protobuf / "usr/lib" / self.system.triplet

    @property
    def generated(self) -> Path:
        return self.folder / "generated"


def _fetch(work: _Work, tell: Tell) -> None:
    downloads = work.folder / "downloads"
    as_source = ["--no-binary=:all:", "--no-build-isolation", "--requirement", str(_LOCK)]
    pip_download("the source of onnx", "--dest", downloads, *as_source)
    (archive,) = downloads.iterdir()
    with tarfile.open(archive) as packed:
        packed.extractall(work.folder / "source", filter="data")
    packages = ["libprotobuf-dev", "protobuf-compiler"]
    debs = debian.download(work.system.debian, work.system.suite, packages, tell=tell)
    debian.extract(debs, work.protobuf)


def _generate(work: _Work) -> None:
    """Generate the C++ and Python code of the messages."""
    protos = work.generated / "onnx"
    protos.mkdir(parents=True)
    for name in _PROTOS.values():
        (protos / f"{name}.proto").write_bytes((work.source / f"onnx/{name}.proto").read_bytes())
    root = work.protobuf
    protoc = [programs.need(_QEMU), "-L", str(root), str(root / "usr/bin/protoc")]
    out = [f"--proto_path={work.generated}", f"--cpp_out={work.generated}"]
    files = sorted(protos.glob("*.proto"))
    programs.run([*protoc, *out, f"--python_out={work.generated}", *files])


def _compile(work: _Work) -> None:
    sources = [*_found(work.source / "onnx", "*.cc"), *_found(work.generated / "onnx", "*.cc")]
    objects = [work.folder / f"{number}.o" for number in range(len(sources))]
    compiler = [f"{work.system.triplet}-g++", *TARGET[work.system.machine]]
    flags = [*_FLAGS, *_DEFINED, *_places(work)]

    def compile_one(source: Path, target: Path) -> None:
        programs.run([*compiler, *flags, "-c", source, "-o", target])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(compile_one, sources, objects):
            pass
    link = ["-shared", "-Wl,--strip-all", f"-Wl,-rpath-link,{work.libraries}"]
    library = work.libraries / "libprotobuf.so"
    programs.run([*compiler, *link, "-o", work.folder / "compiled.so", *objects, library])


def _places(work: _Work) -> list[str]:
    """The include flags. The board's own come last: the compiler brings its own C library."""
    include = work.headers / "usr/include"
    places = [work.generated, work.source, work.source / "third_party/pybind11/include"]
    first = [f"-I{place}" for place in (*places, include / "python3.11")]
    return [*first, f"-idirafter{work.protobuf / 'usr/include'}", f"-idirafter{include}"]


def _install(work: _Work, folder: Path) -> None:
    """Lay out the package as its own setup does, with the data that states its version."""
    package = folder / "onnx"
    for path in _found(work.source / "onnx", "*.py"):
        target = folder / path.relative_to(work.source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    for path in (work.generated / "onnx").glob("*_pb2.py"):
        (package / path.name).write_bytes(path.read_bytes())
    for name, proto in _PROTOS.items():
        text = f"from .{proto.replace('-', '_')}_pb2 import *  # noqa\n"
        (package / f"{name}_pb.py").write_text(text)
    number = (work.source / "VERSION_NUMBER").read_text().strip()
    (package / "version.py").write_text(f'version = "{number}"\ngit_version = ""\n')
    (work.folder / "compiled.so").rename(package / "onnx_cpp2py_export.so")
    _name(folder, number, (work.source / "PKG-INFO").read_text())


def _name(folder: Path, number: str, metadata: str) -> None:
    """Write the metadata that tells Python a package's version and the size of its files."""
    data = folder / f"onnx-{number}.dist-info"
    data.mkdir()
    (data / "METADATA").write_text(metadata)
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    (data / "RECORD").write_text("".join(f"{path},,\n" for path in sorted(files)))


def _found(folder: Path, pattern: str) -> list[Path]:
    paths = sorted(folder.rglob(pattern))
    return [path for path in paths if not _TESTS & set(path.relative_to(folder).parts)]
