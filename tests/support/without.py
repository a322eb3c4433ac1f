"""An environment without certain packages, to test what happens then."""

from collections.abc import Mapping
from pathlib import Path

_HIDE = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {packages!r} else find(name, path, target)
PathFinder.find_spec = find_spec
"""


def without(folder: Path, *packages: str, env: Mapping[str, str]) -> dict[str, str]:
    """The same environment, except that no interpreter finds these packages in it."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HIDE.format(packages=set(packages)))
    paths = [str(folder), *filter(None, [env.get("PYTHONPATH")])]
    return {**env, "PYTHONPATH": ":".join(paths)}
