"""What a process touched, read from the output of `strace -f -y -e trace=network,file`."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

# Calls that change something at a path, and which of their path arguments they write to.
_WRITERS = {
    "creat", "mkdir", "mkdirat", "mknod", "mknodat", "rmdir", "unlink", "unlinkat",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat",
    "chmod", "fchmodat", "chown", "lchown", "fchownat", "truncate", "utimensat", "utimes",
    "utime", "setxattr", "lsetxattr", "mount", "umount2",
}  # fmt: skip
_CALL = re.compile(r"^\d+ +(\w+)\((.*)$")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FOLDER = re.compile(r"^AT_FDCWD<([^>]*)>|^\d+<([^>]*)>")
_INET = re.compile(r'sa_family=AF_INET6?, .*?htons\((\d+)\).*?"([^"]+)"')


@dataclass(slots=True)
class Trace:
    """Where a process and its children connected, and what they changed or opened for writing.

    Attributes:
        peers: "host:port" of every connect, sendto or sendmsg that names an internet address.
        others: whole lines of connects and binds to anything else, including Unix sockets.
        written: absolute paths.
    """

    peers: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)
    written: set[Path] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "Trace":
        trace = cls()
        for line in path.read_text(errors="replace").splitlines():
            found = _CALL.match(line)
            if found:
                trace._take(found[1], found[2], line)
        return trace

    def _take(self, call: str, rest: str, line: str) -> None:
        if call in {"connect", "sendto", "sendmsg", "sendmmsg"}:
            peer = _INET.search(rest)
            if peer:
                self.peers.add(f"{peer[2]}:{peer[1]}")
            elif call == "connect":
                self.others.append(line)
        elif call in {"bind", "listen", "accept", "accept4"}:
            if 'sin_port=htons(0), sin_addr=inet_addr("0.0.0.0")' not in rest:  # before a connect
                self.others.append(line)
        elif call in _WRITERS or (call in {"open", "openat"} and _is_for_writing(rest)):
            folder = _FOLDER.match(rest)
            base = (folder[1] or folder[2]) if folder else Path.cwd()
            texts = _TEXT.findall(rest)
            self.written |= {Path(os.path.normpath(Path(base) / text)) for text in texts}


def _is_for_writing(rest: str) -> bool:
    flags = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE")
    return any(flag in _TEXT.sub("", rest) for flag in flags)
