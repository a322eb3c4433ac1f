"""Which failures of apt and pip are an archive's fault, and its reason in a few words.

An archive is at fault when it names a file and does not give it, gives another one, or does not
answer. It is not when this machine has no room to write, when a package is asked for that no list
names (our recipe is wrong, or out of date), or when a signature is not one that this machine
trusts (somebody has to look): these stay failures.
"""

import re
from urllib.parse import unquote

_NOT_FETCHED = re.compile(r"^E: Failed to fetch (\S+) +(.+?)(?: \[IP: .*\])?$", re.MULTILINE)
_NO_RELEASE = re.compile(
    r"^E: (The repository '.+' (?:does not have|no longer has) a Release file)", re.MULTILINE
)
_OURS = ("No space left on device", "Permission denied", "Read-only file system")
_NO_ANSWER = re.compile(
    r"connection|timed out|timeout|name resolution|HTTP error|\b5\d\d (?:Server|Client) Error",
    re.IGNORECASE,
)
_PIP_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


def of_apt(said: str) -> str | None:
    """The reason, if what apt-get printed tells of an archive's fault; else None.

    Such as `404 Not Found: libc6_2.41-12_armel.deb and 7 more`.
    """
    failed = [(url, why) for url, why in _NOT_FETCHED.findall(said) if not _is_ours(why)]
    if failed:
        url, why = failed[0]
        others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"{' '.join(why.split())}: {unquote(url.rpartition('/')[2])}{others}"
    without = _NO_RELEASE.search(said)
    return without[1] if without else None


def of_pip(said: str) -> str | None:
    """The reason, if what pip printed tells of an index that does not answer; else None.

    An index that answers with another file than the locked one is no such case.
    """
    if not _NO_ANSWER.search(said) or "DO NOT MATCH THE HASHES" in said:
        return None
    errors = _PIP_ERROR.findall(said)
    return errors[0] if errors else said.strip().splitlines()[-1]


def _is_ours(why: str) -> bool:
    return any(words in why for words in _OURS)
