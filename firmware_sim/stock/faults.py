"""Which failures of apt and pip are an archive's fault, and its reason in a few words.

An archive is at fault if it lists a file but does not deliver it, delivers a different one, or does
not answer. It is not at fault if this machine has no room to write, if no list names the package
(our recipe is wrong or out of date), or if this machine does not trust a signature (somebody has
to look into that): these remain failures.
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
    """The reason, if apt-get's output shows an archive's fault; else None.

    For example `404 Not Found: libc6_2.41-12_armel.deb and 7 more`.
    """
    failed = [(url, why) for url, why in _NOT_FETCHED.findall(said) if not _is_ours(why)]
    if failed:
        url, why = failed[0]
        others = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        return f"{' '.join(why.split())}: {unquote(url.rpartition('/')[2])}{others}"
    without = _NO_RELEASE.search(said)
    return without[1] if without else None


def of_pip(said: str) -> str | None:
    """The reason, if pip's output shows that the index does not answer; else None.

    An index that answers with a file other than the locked one does not count.
    """
    if not _NO_ANSWER.search(said) or "DO NOT MATCH THE HASHES" in said:
        return None
    errors = _PIP_ERROR.findall(said)
    return errors[0] if errors else said.strip().splitlines()[-1]


def _is_ours(why: str) -> bool:
    return any(words in why for words in _OURS)
