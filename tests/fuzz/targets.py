"""Every parser of bytes from outside."""

from pathlib import Path

from tests.fuzz import artifacts, datasets, messages, payloads, updates

CORPUS = Path(__file__).parent / "corpus"
GOLDEN = Path(__file__).parents[1] / "golden" / "payloads"
TARGETS = {
    module.TARGET.name: module.TARGET
    for module in (payloads, messages, updates, artifacts, datasets)
}


def corpus(name: str) -> list[bytes]:
    """A target's stored inputs, in the order of their names; for payloads the golden ones too."""
    paths = sorted((CORPUS / name).iterdir())
    if name == "payload":
        paths += [path for path in sorted(GOLDEN.glob("*.payload")) if path.stat().st_size < 2000]
    return [path.read_bytes() for path in paths]
