"""Folders and files that only their owner can read, whatever the umask.

A state directory holds what was learned from private data: updates, residuals, models. It is
created with mode 0700, its files with 0600. One that others may read is not fixed silently, since
they may have read it already: it is refused, with the command that fixes it. Symbolic links are
not followed: somebody else may have planted them to get another user's file overwritten.
"""

import errno
import os
import shlex
import stat
from pathlib import Path

from fedge.errors import StorageError
from fedge.storage.failures import refusal

_OTHERS = 0o077


def make_private(folder: Path) -> None:
    """Create the folder and any missing parents; one that exists must be private.

    Raises:
        StorageError: if it cannot be created, is a symbolic link, or others may read it.
    """
    try:
        try:
            folder.mkdir(mode=0o700, parents=True)
            folder.chmod(0o700)  # the umask may have taken even the owner's rights
        except FileExistsError:
            _check(folder, folder)
            if not folder.is_dir():
                raise
    except OSError as error:
        raise refusal("write", folder, error) from error


def check_private(folder: Path) -> None:
    """Refuse a folder that contains a symbolic link or anything others may read.

    Raises:
        StorageError: naming the first of them.
    """
    _check(folder, folder)
    for parent, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            _check(Path(parent, name), folder)


def open_private(path: Path, flags: int) -> int:
    """A descriptor of a file that only the owner may read; created if `flags` say so.

    Raises:
        StorageError: if it cannot be opened, or is a symbolic link.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(handle, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path) from error
        verb = "write" if flags & (os.O_WRONLY | os.O_RDWR) else "read"
        raise refusal(verb, path, error) from error
    return handle


def _check(path: Path, folder: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # another process is at work here; the lock decides
        return
    except OSError as error:
        raise refusal("read", path, error) from error
    if stat.S_ISLNK(mode):
        raise _link(path)
    if mode & _OTHERS:
        raise StorageError(
            f"others may use {path} (mode {stat.S_IMODE(mode):04o}), which holds what was learned "
            f"from private data: chmod -R go-rwx {shlex.quote(str(folder))}"
        )


def _link(path: Path) -> StorageError:
    return StorageError(
        f"{path} is a symbolic link, and links are not followed: name {path.resolve()} instead, "
        "or put its target there"
    )
