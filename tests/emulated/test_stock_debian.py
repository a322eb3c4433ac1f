"""Debian's packages and the index's, as they are fetched, checked and unpacked."""

import shutil
from pathlib import Path

import pytest

from firmware_sim.boards import ARM64, ARMEL, ARMHF, SYSTEMS, System
from firmware_sim.errors import EmulationError
from firmware_sim.stock import cache, debian, mirror, packages
from firmware_sim.stock.kernel import kernel
from firmware_sim.stock.mirror import Mirror
from firmware_sim.stock.rootfs import rootfs
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated

SMALL = "media-types"  # depends on nothing


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    for name in ("apt-get", "dpkg-deb", "tar"):
        need_tool(name)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it but apt's lists, which are the slowest to fetch."""
    debian.query("arm64", "bookworm", ["policy"])
    world = Path("apt") / "bookworm-arm64"
    shutil.copytree(cache.home() / world, tmp_path / world)
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path))
    return tmp_path


def test_the_mirror_is_this_machines_and_its_keyring_is_named_to_apt() -> None:
    found = mirror.mirror()
    assert found.uri.endswith("/")
    assert found.keyring is None or found.keyring.exists()
    signed = Mirror("http://mirror/debian/", Path("/keys/debian.gpg"))
    assert signed.source("armel", "trixie") == (
        "deb [arch=armel signed-by=/keys/debian.gpg] http://mirror/debian/ trixie main"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Types: deb\nURIs: http://mirror/debian\nSigned-By: /keys/a.gpg\n",
        "deb [arch=amd64 signed-by=/keys/a.gpg] http://mirror/debian bookworm main\n",
    ],
)
def test_the_keyring_is_found_in_both_forms_of_sources(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources").write_text(text)
    assert mirror._keyring(tmp_path / "sources") == Path("/keys/a.gpg")


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_corrupt_package_is_fetched_again_aloud(own_cache: Path, damage: str) -> None:
    told: list[str] = []
    (deb,) = debian.download("arm64", "bookworm", [SMALL], tell=told.append)
    good = deb.read_bytes()
    deb.write_bytes(good[:-1] if damage == "cut" else good[:-1] + bytes([good[-1] ^ 1]))
    told.clear()
    assert debian.download("arm64", "bookworm", [SMALL], tell=told.append) == [deb]
    assert deb.read_bytes() == good
    assert told[0] == f"{deb.name} in the cache is corrupt: it is fetched again"
    told.clear()
    debian.download("arm64", "bookworm", [SMALL], tell=told.append)
    assert told == []


def test_a_package_that_does_not_exist_is_a_sentence(own_cache: Path) -> None:
    with pytest.raises(EmulationError, match="Unable to locate package of-nowhere"):
        debian.download("arm64", "bookworm", ["of-nowhere"], tell=_be_quiet)


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_a_root_file_system_has_python_and_no_link_out_of_it(system: System) -> None:
    root = rootfs(system)
    python = root / "usr/bin" / f"python{system.python}"
    assert python.read_bytes()[:4] == b"\x7fELF"
    assert (root / "lib").readlink() == Path("usr/lib")
    assert list((root / "lib").glob("ld-linux*"))
    libraries = root / "usr/lib" / system.triplet
    links = [path for path in libraries.iterdir() if path.is_symlink()]
    assert [path.name for path in links if not path.exists()] == []


@pytest.mark.parametrize("system", [ARMHF, ARMEL], ids=lambda system: system.name)
def test_numpy_of_debian_finds_its_libraries(system: System) -> None:
    libraries = rootfs(system) / "usr/lib" / system.triplet
    assert (libraries / "libblas.so.3").exists()
    assert (libraries / "liblapack.so.3").exists()


def test_a_kernel_has_an_image_and_its_modules() -> None:
    found = kernel("cloud-arm64")
    assert found.image.read_bytes()[:2] == b"MZ"  # an arm64 image is also a program for UEFI
    assert found.release.endswith("-cloud-arm64")
    assert list(found.modules.rglob("virtio_net.ko*"))


def test_a_package_of_another_hash_than_the_locked_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = (Path(packages.__file__).parent / "locks" / "armv6l.txt").read_text()
    (tmp_path / "armv6l.txt").write_text(lock.replace("sha256:27695", "sha256:37695"))
    monkeypatch.setattr(packages, "LOCKS", tmp_path)
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path))
    with pytest.raises(EmulationError, match="DO NOT MATCH THE HASHES"):
        packages.packages(ARMEL, _be_quiet)
    assert list((tmp_path / "packages" / ARMEL.name).iterdir()) == []


def test_a_corrupt_wheel_is_fetched_again_aloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path))
    told: list[str] = []
    folder = packages.packages(ARMEL, told.append)
    assert (folder / "paho" / "mqtt" / "client.py").exists()
    (wheel,) = (tmp_path / "wheels" / "armv6l").glob("cbor2-*.whl")
    wheel.write_bytes(wheel.read_bytes()[:1000])
    shutil.rmtree(folder)
    told.clear()
    assert (packages.packages(ARMEL, told.append) / "cbor2" / "__init__.py").exists()
    assert told[0].startswith(f"{wheel.name} in the cache is corrupt")


def test_every_lock_has_what_a_device_needs() -> None:
    def names(system: System) -> set[str]:
        lock = Path(packages.__file__).parent / "locks" / f"{system.machine}.txt"
        return {name for name, _, _ in packages._PIN.findall(lock.read_text())}

    assert names(ARM64) >= {"numpy", "onnxruntime", "paho-mqtt", "cbor2"}
    assert names(ARMHF) == names(ARMEL) == {"paho-mqtt", "cbor2"}


def _be_quiet(_line: str) -> None:
    """What a test does not ask for."""
