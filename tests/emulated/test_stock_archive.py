"""An archive that does not give what it names: told from all other faults, and remembered.

apt itself fetches from a little archive on loopback; the texts of a real one's faults are apt's,
of Debian 13.8's armel on 27 November 2026.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from firmware_sim.boards import ARMEL
from firmware_sim.errors import ArchiveError, EmulationError, ProgramError
from firmware_sim.stock import debian, faults
from firmware_sim.stock.item import Item
from firmware_sim.stock.rootfs import item
from tests.support.archive import Archive
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated

SUITE = "tiny"
SYSTEM = replace(ARMEL, suite=SUITE, packages=("kept", "lost"))

LOST = """
Err:8 http://deb.debian.org/debian trixie/main armel openssl armel 3.5.9-1~deb13u1
  404  Not Found [IP: 203.0.113.80 80]
W: Unable to read /apt/etc/apt/preferences.d/ - DirectoryExists (2: No such file or directory)
E: Failed to fetch http://deb.debian.org/debian/pool/main/g/glibc/libc6_2.41-12%2bdeb13u5_armel.deb  404  Not Found [IP: 203.0.113.80 80]
E: Failed to fetch http://deb.debian.org/debian/pool/main/o/openssl/openssl_3.5.9-1%7edeb13u1_armel.deb  404  Not Found [IP: 203.0.113.80 80]
E: Some files failed to download
"""  # noqa: E501 - apt's own lines
STALE = """
E: Failed to fetch http://deb.debian.org/debian/dists/trixie-updates/main/binary-armel/Packages.xz  File has unexpected size (720 != 1108). Mirror sync in progress? [IP: 203.0.113.80 80]
"""  # noqa: E501
SILENT = """
E: Failed to fetch http://deb.debian.org/debian/dists/bookworm/InRelease  Could not connect to mirror:80. - connect (111: Connection refused)
"""  # noqa: E501
GONE = """
E: The repository 'http://mirror buster Release' does not have a Release file.
"""
FULL = """
E: Failed to fetch http://deb.debian.org/debian/pool/main/z/zlib/zlib1g_1_armel.deb  Error writing to file - write (28: No space left on device) [IP: 203.0.113.80 80]
"""  # noqa: E501
UNSIGNED = """
W: GPG error: http://deb.debian.org/debian tiny InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 0E98404D386FA1D9
E: The repository 'http://deb.debian.org/debian tiny InRelease' is not signed.
"""  # noqa: E501


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (LOST, "404 Not Found: libc6_2.41-12+deb13u5_armel.deb and 1 more"),
        (STALE, "File has unexpected size (720 != 1108). Mirror sync in progress?: Packages.xz"),
        (
            SILENT,
            "Could not connect to mirror:80. - connect (111: Connection refused): InRelease",
        ),
        (
            GONE,
            "The repository 'http://mirror buster Release' does not have a Release file",
        ),
        ("E: Unable to locate package of-nowhere\n", None),
        (FULL, None),
        (UNSIGNED, None),
    ],
    ids=["lost", "stale", "silent", "gone", "no such package", "disk full", "unsigned"],
)
def test_a_fault_of_an_archive_is_told_from_one_of_ours(said: str, reason: str | None) -> None:
    assert faults.of_apt(said) == reason


def test_an_index_that_does_not_answer_is_told_from_one_with_other_files() -> None:
    silent = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n"
        "ERROR: No matching distribution found for cbor2==5.9.0\n"
    )
    assert faults.of_pip(silent) == "No matching distribution found for cbor2==5.9.0"
    assert faults.of_pip("ERROR: No matching distribution found for cbor2==0.0.1\n") is None
    other = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
    assert faults.of_pip(other) is None


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Archive]:
    """This machine's mirror, with the packages kept and lost; and an empty cache."""
    for name in ("apt-get", "dpkg-deb", "tar"):
        need_tool(name)
    with Archive(tmp_path / "archive", SUITE) as archive:
        archive.add("kept")
        archive.add("lost")
        monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(debian, "mirror", lambda: archive)
        yield archive


def test_a_package_that_is_listed_and_not_there_is_named_with_apts_reason(
    archive: Archive,
) -> None:
    archive.deb("lost").unlink()
    with pytest.raises(ArchiveError) as caught:
        item(SYSTEM).folder(_be_quiet)
    assert str(caught.value) == (
        "unavailable: Debian tiny for armel: 404 File not found: lost_1_armel.deb"
    )


def test_a_package_with_other_bytes_than_listed_is_the_archives_fault(archive: Archive) -> None:
    content = archive.deb("lost").read_bytes()
    archive.deb("lost").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ArchiveError, match=r"Hash Sum mismatch: lost_1_armel\.deb"):
        item(SYSTEM).folder(_be_quiet)


def test_a_suite_that_has_left_the_archive_is_the_archives_fault(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="404 File not found: Packages"):
        item(replace(SYSTEM, suite="older")).folder(_be_quiet)
    assert archive.n_asked > 0


def test_a_package_that_no_list_names_is_our_fault(archive: Archive) -> None:
    recipe = replace(SYSTEM, packages=("kept", "of-nowhere"))
    with pytest.raises(ProgramError, match="Unable to locate package of-nowhere") as caught:
        item(recipe).folder(_be_quiet)
    assert not isinstance(caught.value, ArchiveError)
    assert item(recipe).fault() is None
    assert archive.n_asked > 0


def test_after_a_fault_nobody_asks_the_archive_again_but_fetch_whose_success_is_remembered_too(
    archive: Archive,
) -> None:
    content = archive.deb("lost").read_bytes()
    archive.deb("lost").unlink()
    with pytest.raises(ArchiveError):
        item(SYSTEM).folder(_be_quiet)
    archive.deb("lost").write_bytes(content)
    n_asked = archive.n_asked
    with pytest.raises(ArchiveError, match="`python -m firmware_sim fetch` asks again"):
        item(SYSTEM).folder(_be_quiet)
    assert str(item(SYSTEM).fault()) == (
        "unavailable: Debian tiny for armel: 404 File not found: lost_1_armel.deb"
    )
    assert archive.n_asked == n_asked
    assert (item(SYSTEM).fetch(_be_quiet) / "root/usr/share/lost").read_text() == "1"
    assert item(SYSTEM).fault() is None
    item(SYSTEM).folder(_be_quiet)


def test_what_was_fetched_and_verified_serves_after_the_archive_has_lost_it(
    archive: Archive,
) -> None:
    """A later recipe is unpacked from the cache, and with the lists that name what is there."""
    item(SYSTEM).fetch(_be_quiet)
    for name in ("kept", "lost"):
        archive.deb(name).unlink()
    n_asked = archive.n_asked
    assert (item(replace(SYSTEM, packages=("lost",))).fetch(_be_quiet) / "root").is_dir()
    assert archive.n_asked == n_asked


def test_newer_lists_of_files_that_cannot_be_had_leave_the_older_ones_in_use(
    archive: Archive,
) -> None:
    item(replace(SYSTEM, packages=("kept",))).fetch(_be_quiet)
    old = archive.deb("lost")
    new = archive.add("lost", "2")
    archive.add("kept", "2")
    for deb in (old, new):  # neither the old lists do for it nor the new ones
        deb.unlink()
    with pytest.raises(ArchiveError, match=r"404 File not found: lost_2_armel\.deb"):
        item(SYSTEM).fetch(_be_quiet)
    (deb,) = debian.download("armel", SUITE, ["kept"], tell=_be_quiet)
    assert deb.name == "kept_1_armel.deb"


def test_a_fault_that_is_not_an_archives_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDGE_EMULATION_CACHE", str(tmp_path))

    def fail(_folder: Path, _tell: object) -> None:
        raise EmulationError("the compiler is not installed")

    made = Item("a thing", "thing", "key", fail)
    with pytest.raises(EmulationError):
        made.folder(_be_quiet)
    assert made.fault() is None


def _be_quiet(_line: str) -> None:
    """What a test does not ask for."""
