"""Every reader of bytes from outside."""

from pathlib import Path

from tests.fuzz import artifacts, datasets, messages, payloads, updates

CORPUS = Path(__file__).parent / "corpus"
TARGETS = {
    module.TARGET.name: module.TARGET
    for module in (payloads, messages, updates, artifacts, datasets)
}


def corpus(name: str) -> list[bytes]:
    """The stored inputs of a target, in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
