"""Data generated from a seed: no download, the same examples wherever NumPy draws the same."""

import numpy as np

from fedge.data import Dataset
from fedge.types import Array

N_SAMPLES = 128  # of a wave
N_WAVES = 6
N_WORDS = 1200  # of the vocabulary
N_TOKENS = 24  # of a text
N_TOPICS = 8


def waves(seed: int = 0, n_examples: int = 3600) -> Dataset:
    """Windows of a sensor signal: x float32 (n, 1, 128); y is which of six shapes it contains.

    The shapes are sine, square, sawtooth, chirp, decaying ring and a burst of pulses; each with
    1.5 to 6 periods, any phase, an amplitude of 0.6 to 1.4, an offset and a drift of up to 0.3,
    and white noise of standard deviation 0.3.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(N_WAVES, size=n_examples)
    t = np.linspace(0, 1, N_SAMPLES)
    turns = rng.uniform(1.5, 6, (n_examples, 1)) * t + rng.random((n_examples, 1))
    rise = t * np.ones((n_examples, 1))
    shapes = np.stack(
        [
            np.sin(2 * np.pi * turns),
            np.sign(np.sin(2 * np.pi * turns)),
            2 * (turns % 1) - 1,
            np.sin(2 * np.pi * turns * (0.5 + 1.5 * rise)),
            np.sin(4 * np.pi * turns) * np.exp(-4 * rise),
            2.0 * ((turns % 1) < 0.15),
        ]
    )
    x = shapes[y, np.arange(n_examples)] * rng.uniform(0.6, 1.4, (n_examples, 1))
    offset, drift = rng.uniform(-0.3, 0.3, (2, n_examples, 1))
    x += offset + drift * rise + rng.normal(scale=0.3, size=x.shape)
    return Dataset({"x": x[:, None].astype(np.float32)}, y.astype(np.int64))


def words(seed: int = 0, n_examples: int = 4000) -> Dataset:
    """Short texts: x int64 (n, 24), the indices of words; y is which of eight topics they have.

    A word's frequency falls as 1 / rank (Zipf). Each topic makes 60 words, of any rank, twelve
    times as frequent. A model of such data has a table of word vectors, of which an example
    touches 24 rows.
    """
    rng = np.random.default_rng(seed)
    odds = np.tile(1 / np.arange(1, N_WORDS + 1), (N_TOPICS, 1))
    for topic in range(N_TOPICS):
        odds[topic, rng.permutation(N_WORDS)[:60]] *= 12
    below = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    y = rng.integers(N_TOPICS, size=n_examples)
    draws: Array = rng.random((n_examples, N_TOKENS))
    x = np.stack([np.searchsorted(below[topic], row) for topic, row in zip(y, draws, strict=True)])
    return Dataset({"x": np.minimum(x, N_WORDS - 1).astype(np.int64)}, y.astype(np.int64))
