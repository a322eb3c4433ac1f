"""One target under libFuzzer: `python -m tests.fuzz.guided TARGET [libFuzzer's options]`."""

import sys

import atheris

with atheris.instrument_imports(include=["fedge"]):
    from tests.fuzz.target import rng_of
    from tests.fuzz.targets import TARGETS


def main(argv: list[str]) -> None:
    """Ends the process."""
    target = TARGETS[argv[1]]

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        def change(part: bytes) -> bytes:
            return bytes(atheris.Mutate(part, len(part) + 64))

        changed: bytes = target.mutate(bytes(data), rng_of(seed), change)
        return changed[:max_size]

    atheris.Setup([argv[0], *argv[2:]], target.check, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
