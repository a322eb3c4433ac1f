"""What an independent implementation in PyTorch reached in the same federations.

Accuracy of the last ten rounds, and rounds to 90 %: means and medians of five seeds for digits;
one seed for MNIST and WISDM, where the figure is the accuracy after round 100, and of 60 epochs
of Adam for all data in one place.
"""

from fedge.bench.federation.setting import Setting

_ALPHAS = ("100", "0.5", "0.1", "0.03")
_DIGITS = {
    "fedavg": "959/15 956/17 938/31 898/62",
    "fedavgm": "961/16 958/16 949/29 932/51",
    "fedadam": "962/12 961/12 954/21 945/48",
    "fedyogi": "963/11 962/12 953/21 945/48",
    "fedadagrad": "965/13 962/13 948/20 925/47",
    "fedprox": "959/15 956/17 938/31 893/67",
    "scaffold": "962/14 961/14 959/22 952/21",
    "feddyn": "956/11 954/12 957/17 948/22",
    "fednova-uneven": "960/14 951/19 940/36 921/52",
    "fedavg-uneven": "959/14 954/16 941/31 893/70",
}
_OTHERS = {
    ("mnist", "shards", "fedavg"): (0.924, None),
    ("wisdm", "user", "fedavg"): (0.741, None),
    ("wisdm", "user", "centralised"): (0.833, None),
}


def reference(cell: Setting) -> tuple[float, int | None] | None:
    """Accuracy and rounds, if there are figures for this task, split and method."""
    if cell.task == "digits" and cell.method in _DIGITS and cell.split in _ALPHAS:
        figures = _DIGITS[cell.method].split()[_ALPHAS.index(cell.split)]
        accuracy, _, rounds = figures.partition("/")
        return int(accuracy) / 1000, int(rounds)
    return _OTHERS.get((cell.task, cell.split, cell.method))
