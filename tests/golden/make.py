"""`make golden`: writes the golden files anew. Review their change like an interface."""

from tests.golden import payloads

if __name__ == "__main__":
    for path in payloads.write():
        print(path)  # noqa: T201 - says what it wrote
