"""`python -m tests.fuzz.make`: rewrites the well-formed inputs of the corpus.

Findings, whose names start with `found-`, are left alone.
"""

from tests.fuzz.targets import CORPUS, TARGETS

if __name__ == "__main__":
    for target in TARGETS.values():
        folder = CORPUS / target.name
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("seed-*"):
            path.unlink()
        for name, data in target.seeds().items():
            (folder / f"seed-{name}").write_bytes(data)
            print(folder / f"seed-{name}", len(data))  # noqa: T201 - reports what it wrote
