"""Certificates for a broker on 127.0.0.1, valid for a period that the test chooses."""

import ipaddress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NOW_AND_LATER = ("20000101000000Z", "20610101000000Z")


def certify(folder: Path, name: str, first: str, last: str) -> Path:
    """A self-signed certificate, `{name}.pem`; its key is `key.pem`.

    Args:
        folder: for both; the key is created if missing.
        name: of the file and the subject, so that no certificate passes for another's issuer.
        first: start of validity, YYYYMMDDHHMMSSZ.
        last: end of validity.
    """
    key = _key(folder / "key.pem")
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(issuer_name=subject, subject_name=subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_time(first))
        .not_valid_after(_time(last))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def certify_for_now(folder: Path) -> Path:
    """A currently valid one, `cert.pem`."""
    return certify(folder, "cert", *_NOW_AND_LATER)


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
        assert isinstance(found, ec.EllipticCurvePrivateKey)
        return found
    made = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    path.write_bytes(made.private_bytes(*form, serialization.NoEncryption()))
    return made


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
