"""An environment in which a package is not installed, for tests of what happens then."""

from collections.abc import Mapping
from pathlib import Path

_HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


def without(folder: Path, *packages: str, env: Mapping[str, str]) -> dict[str, str]:
    """The same environment, but no interpreter in it finds these packages."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HIDE.format(packages=set(packages)))
    paths = [str(folder), *filter(None, [env.get("PYTHONPATH")])]
    return {**env, "PYTHONPATH": ":".join(paths)}
