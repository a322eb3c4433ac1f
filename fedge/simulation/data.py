"""Data for a fleet on one machine: the digits or a file, divided among the devices."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fedge.data import Dataset
from fedge.errors import ConfigError, DataError, MissingDependencyError
from fedge.types import Array

N_DEVICES = 8  # that examples without clients are dealt out to, unless told
TEST_SHARE = 0.2  # of examples, where a file does not say which are for tests
_SMALLEST_PART = 10  # examples; a device with fewer has nothing to learn from
MOST_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Parts:
    """A data set divided up: a part for each device, and one that nobody trains on."""

    devices: dict[str, Dataset]
    test: Dataset


def digits() -> Dataset:
    """The 1 797 handwritten digits that come with scikit-learn: x (n, 64) in 0..1, y 0..9."""
    try:
        with warnings.catch_warnings():
            # Of no use here: nothing runs in parallel through joblib.
            warnings.filterwarnings("ignore", message=".*joblib will operate in serial mode")
            from sklearn.datasets import load_digits  # noqa: PLC0415 - the extra `demo` has it
    except ImportError as error:
        raise MissingDependencyError(
            "the digits come with scikit-learn: pip install 'fedge[demo]', or give --data FILE.npz"
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    return Dataset(
        inputs={"x": (pixels / 16).astype(np.float32)},  # the scan has 16 grey levels
        targets=labels.astype(np.int64),
        client=None,
        is_test=None,
    )


def part(data: Dataset, *, n_devices: int | None, alpha: float, seed: int) -> Parts:
    """Divide a data set into a part for each device and a test part.

    Natural clients stay together: with `client` in the data each client is a
    device; if `n_devices` is given, only that many, in sorted order.
    Without it the examples of each class are dealt out by a Dirichlet draw.

    Args:
        data: with or without `client` and `is_test`; without `is_test` a fifth of
            the examples, drawn evenly, is held out.
        n_devices: how many devices; None: one a client, or `N_DEVICES` without clients.
        alpha: concentration of the Dirichlet draw: the smaller, the more the parts differ.
        seed: of both draws.

    Raises:
        DataError: if there are fewer clients or examples than devices need.
    """
    rng = np.random.default_rng(seed)
    if data.is_test is None:
        data = replace(data, is_test=_hold_out(data.n_examples, rng))
    train, test = data.train(), data.test()
    if train.n_examples == 0 or test.n_examples == 0:
        raise DataError(
            "data file",
            expected="examples to train on and to test on",
            found=f"{train.n_examples} and {test.n_examples}",
        )
    named = _natural(train, n_devices) if train.client is not None else None
    return Parts(dict(named or _dealt(train, n_devices or N_DEVICES, alpha, rng)), test)


def _hold_out(n_examples: int, rng: np.random.Generator) -> Array:
    is_test = np.zeros(n_examples, dtype=np.bool_)
    is_test[rng.permutation(n_examples)[: int(n_examples * TEST_SHARE)]] = True
    return is_test


def _natural(train: Dataset, n_devices: int | None) -> Iterator[tuple[str, Dataset]]:
    clients = np.unique(train.client) if train.client is not None else np.array([])
    if n_devices is not None and n_devices > len(clients):
        raise DataError("clients in the data", expected=f"at least {n_devices}", found=len(clients))
    for client in clients[:n_devices]:
        yield _device_name(str(client)), train.of_client(client)


def _device_name(client: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in client)
    return f"client-{plain.encode('ascii', 'replace').decode().replace('?', '_')[:50]}"


def _dealt(
    train: Dataset, n_devices: int, alpha: float, rng: np.random.Generator
) -> Iterator[tuple[str, Dataset]]:
    owner = _dirichlet_owner(_groups(train.targets), n_devices, alpha, rng)
    digits_ = len(str(n_devices))
    for device in range(n_devices):
        yield f"device-{device + 1:0{digits_}}", train.select(owner == device)


def _groups(targets: Array) -> Array:
    """What examples are dealt out by: their class, or nothing where there are no classes."""
    is_class = targets.ndim == 1 and targets.dtype.kind in "iu"
    return targets if is_class else np.zeros(len(targets), dtype=np.int64)


def _dirichlet_owner(
    groups: Array, n_devices: int, alpha: float, rng: np.random.Generator
) -> Array:
    """Which device owns which example, drawn again until every device has enough.

    Source: Hsu et al., 2019, arXiv:1909.06335 (shares of each class by Dirichlet).
    """
    if not (alpha > 0 and n_devices > 0):
        raise ConfigError(f"--alpha and --devices: expected above 0, found {alpha}, {n_devices}")
    smallest = min(_SMALLEST_PART, len(groups) // (2 * n_devices))
    for _ in range(MOST_DRAWS):
        owner = np.empty(len(groups), dtype=np.int64)
        for group in np.unique(groups):
            members = rng.permutation(np.flatnonzero(groups == group))
            shares = np.cumsum(rng.dirichlet(np.full(n_devices, alpha)))[:-1]
            cuts = (shares * len(members)).astype(np.int64)
            for device, chunk in enumerate(np.split(members, cuts)):
                owner[chunk] = device
        if smallest > 0 and np.bincount(owner, minlength=n_devices).min() >= smallest:
            return owner
    raise DataError(
        f"split into {n_devices} devices with alpha {alpha}",
        expected=f"at least {max(1, smallest)} examples a device",
        found=f"{len(groups)} examples in all; use fewer devices or a larger --alpha",
    )
