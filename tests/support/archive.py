"""A small Debian archive on loopback, for the real apt to fetch from; it can lose its files."""

import hashlib
import os
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_CONTROL = """Package: {name}
Version: {version}
Architecture: armel
Maintainer: nobody <nobody@example.org>
Description: of a test
"""


class Archive:
    """An unsigned archive with one suite, for armel; as a context it is served.

    Attributes:
        n_asked: how many requests it has had.
    """

    def __init__(self, folder: Path, suite: str) -> None:
        self.folder, self.suite, self.n_asked = folder, suite, 0
        self._versions: dict[str, str] = {}
        self._moment_s = 1_000_000_000
        folder.mkdir()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, self))

    def source(self, architecture: str, suite: str) -> str:
        """The sources.list line, in the form used for the machine's own mirror."""
        port = self._server.server_address[1]
        return f"deb [arch={architecture} trusted=yes] http://127.0.0.1:{port}/ {suite} main"

    def deb(self, name: str) -> Path:
        """The path of the package."""
        return self.folder / f"{name}_{self._versions[name]}_armel.deb"

    def add(self, name: str, version: str = "1") -> Path:
        """Add a package with one file, replacing an older version."""
        self._versions[name] = version
        tree = self.folder / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(_CONTROL.format(name=name, version=version))
        (tree / "usr/share").mkdir(parents=True)
        (tree / "usr/share" / name).write_text(version)
        words = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(self.deb(name))]
        subprocess.run(words, check=True, capture_output=True)
        self._write_lists()
        return self.deb(name)

    def _write_lists(self) -> None:
        packages = "\n".join(self._entry(name) for name in self._versions).encode()
        place = self.folder / "dists" / self.suite
        (place / "main/binary-armel").mkdir(parents=True, exist_ok=True)
        (place / "main/binary-armel/Packages").write_bytes(packages)
        digest = hashlib.sha256(packages).hexdigest()
        (place / "Release").write_text(
            f"Suite: {self.suite}\nCodename: {self.suite}\nArchitectures: armel\n"
            f"Components: main\nSHA256:\n {digest} {len(packages)} main/binary-armel/Packages\n"
        )
        self._moment_s += 60  # apt asks for newer files, and HTTP has whole seconds
        for file in (place / "Release", place / "main/binary-armel/Packages"):
            os.utime(file, (self._moment_s, self._moment_s))

    def _entry(self, name: str) -> str:
        deb, version = self.deb(name), self._versions[name]
        content = deb.read_bytes()
        return (
            f"{_CONTROL.format(name=name, version=version)}Filename: {deb.name}\n"
            f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        )

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def __init__(self, archive: Archive, *args: Any) -> None:
        self._archive = archive
        super().__init__(*args, directory=str(archive.folder))

    def do_GET(self) -> None:
        self._archive.n_asked += 1
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""
