"""Disks and archives made without being mounted."""

import gzip
import lzma
from pathlib import Path

import pytest

from firmware_sim.build.cpio import archive
from firmware_sim.build.devicetree import without_node
from firmware_sim.build.disk import (
    check_ext4,
    flatten,
    make_card,
    make_ext4,
    make_overlay,
    read_ext4,
    read_partition,
)
from firmware_sim.build.initramfs import initramfs
from firmware_sim.build.job import fetch_job, job_disk
from firmware_sim.errors import EmulationError
from tests.support.tools import need_tool

pytestmark = pytest.mark.emulated


@pytest.fixture(autouse=True)
def _tools() -> None:
    for name in ("mke2fs", "debugfs", "e2fsck", "qemu-img"):
        need_tool(name)


def _tree(folder: Path) -> Path:
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "deep.bin").write_bytes(bytes(range(256)) * 5000)
    (folder / "empty").touch()
    return folder


def _content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_is_put_on_a_disk_comes_back_from_it(tmp_path: Path) -> None:
    tree, image = _tree(tmp_path / "tree"), tmp_path / "a disk.img"
    make_ext4(image, tree, label="fedge-job", size_mb=16)
    assert check_ext4(image) == ""
    read_ext4(image, "/in", tmp_path / "back")
    assert _content(tmp_path / "back") == {"in/deep.bin": (tree / "in/deep.bin").read_bytes()}


def test_a_disk_too_small_for_its_content_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmulationError, match="mke2fs"):
        make_ext4(tmp_path / "disk.img", _tree(tmp_path / "tree"), label="x", size_mb=1)


def test_a_card_s_partitions_are_the_file_systems_it_was_made_of(tmp_path: Path) -> None:
    images = [tmp_path / "one.img", tmp_path / "two.img"]
    for number, image in enumerate(images):
        make_ext4(image, _tree(tmp_path / str(number)), label=f"l{number}", size_mb=6 + number)
    card = tmp_path / "card.img"
    make_card(card, images)
    assert card.stat().st_size == 16 << 20  # 14 MB of them and the table, as a power of two
    assert card.read_bytes()[510:512] == b"\x55\xaa"
    for number, image in enumerate(images):
        read_partition(card, number, tmp_path / "part.img")
        assert (tmp_path / "part.img").read_bytes() == image.read_bytes()


def test_an_overlay_stands_for_what_it_was_made_over(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    make_ext4(image, _tree(tmp_path / "tree"), label="x", size_mb=16)
    make_overlay(tmp_path / "over.qcow2", image)
    flatten(tmp_path / "over.qcow2", tmp_path / "flat.img")
    assert (tmp_path / "flat.img").read_bytes() == image.read_bytes()


def test_a_job_s_folder_comes_back_without_what_was_removed_there(tmp_path: Path) -> None:
    job, fedge = tmp_path / "job", _tree(tmp_path / "fedge")
    _tree(job)
    image = job / ".board" / "job.img"
    image.parent.mkdir()
    job_disk(image, fedge, ["-m", "fedge"], job, {"A": "it's"}, size_mb=16)
    (job / "removed").write_text("not on the disk")
    (job / "program.log").write_text("stays")
    fetch_job(image, job)
    assert set(_content(job)) == {"in/deep.bin", "empty", "program.log", ".board/job.img"}


def test_a_job_s_words_reach_the_program_whole(tmp_path: Path) -> None:
    job = tmp_path / "job"
    job.mkdir()
    image = tmp_path / "job.img"
    job_disk(
        image, _tree(tmp_path / "fedge"), ["-c", "print('a b')"], job, {"A": "it's"}, size_mb=8
    )
    read_ext4(image, "/", tmp_path / "back")
    script = (tmp_path / "back" / "run.sh").read_text()
    assert "export A='it'\"'\"'s'\n" in script
    assert """exec /usr/bin/python3 -c 'print('"'"'a b'"'"')'\n""" in script


def test_an_archive_is_what_cpio_takes_it_for() -> None:
    files = gzip.decompress(archive({"bin/sh": b"12345", "init": b""}))
    assert files[:6] == b"070701"
    assert len(files) % 4 == 0
    for name in (b"bin\0", b"bin/sh\0", b"init\0", b"TRAILER!!!\0"):
        assert name in files


def test_a_module_comes_after_all_that_it_depends_on(tmp_path: Path) -> None:
    folder = tmp_path / "kernel"
    folder.mkdir()
    (folder / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    (folder / "net-core.ko.xz").write_bytes(lzma.compress(b"\0depends=\0"))
    (folder / "failover.ko").write_bytes(b"\0depends=net-core\0")
    (folder / "virtio_net.ko").write_bytes(b"ELF\0depends=failover,net_core\0")
    busybox = tmp_path / "busybox"
    busybox.write_bytes(b"elf")
    files = gzip.decompress(initramfs(folder, busybox, ["ext4", "virtio_net"]))
    assert b"net_core.ko\nfailover.ko\nvirtio_net.ko\n" in files
    with pytest.raises(EmulationError, match="no module warp_drive"):
        initramfs(folder, busybox, ["warp_drive"])


def test_a_node_taken_out_of_a_device_tree_leaves_its_siblings() -> None:
    def word(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(4, "big") for number in numbers)

    header = word(0xD00DFEED, 0, 12)  # where the structure begins; the rest does not matter here
    before = word(1) + bytes(4) + word(3, 5, 0) + b"value\0\0\0"
    radio = word(1) + b"bluetooth@1\0" + word(3, 0, 0) + word(1) + b"in\0\0" + word(2, 2)
    after = word(1) + b"uart\0\0\0\0" + word(2, 2, 9)
    nothing = word(4) * (len(radio) // 4)
    whole = header + before + radio + after
    assert without_node(whole, "bluetooth") == header + before + nothing + after
    for bad in (whole[:40], b"", header + after):
        with pytest.raises(EmulationError, match="no node bluetooth"):
            without_node(bad, "bluetooth")
