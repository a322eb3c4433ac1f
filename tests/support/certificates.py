"""Certificates for a broker on 127.0.0.1, valid when a test says."""

import subprocess
from pathlib import Path

from tests.support.tools import need_tool

_CONF = """
[ca]
default_ca = one
[one]
database = {folder}/index.txt
new_certs_dir = {folder}
rand_serial = yes
default_md = sha256
unique_subject = no
policy = names
[names]
commonName = supplied
[local]
subjectAltName = IP:127.0.0.1
basicConstraints = CA:TRUE
"""


def certify(folder: Path, name: str, first: str, last: str) -> Path:
    """A self-signed certificate, `{name}.pem`; its key is `key.pem`.

    Args:
        folder: of both; the key is made if it is not there.
        name: of the file.
        first: from when it holds, YYYYMMDDHHMMSSZ.
        last: until when.
    """
    openssl, key = need_tool("openssl"), folder / "key.pem"
    request, made = folder / "request.pem", folder / f"{name}.pem"
    conf = folder / "openssl.conf"
    conf.write_text(_CONF.format(folder=folder))
    (folder / "index.txt").touch()
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    source: list[str | Path] = ["-key", key] if key.exists() else [*kind, "-keyout", key]
    commands: list[list[str | Path]] = [
        [openssl, "req", "-new", *source, "-subj", f"/CN={name}", "-out", request],
        [
            openssl, "ca", "-batch", "-selfsign", "-notext", "-config", conf, "-keyfile", key,
            "-in", request, "-out", made, "-startdate", first, "-enddate", last,
            "-extensions", "local",
        ],
    ]  # fmt: skip
    for command in commands:  # the subjects differ, lest one be taken for the issuer of another
        subprocess.run(command, check=True, capture_output=True)
    return made
