"""docs/operators.md, made from the rules: `python -m tests.docs.operators` writes it."""

from pathlib import Path

from fedge.autodiff.losses import LOSSES
from fedge.autodiff.rules import RULES

DOCUMENT = Path(__file__).parents[2] / "docs" / "operators.md"

_HEAD = """\
# Operators with gradients

What `fedge build` can train through. Anything else on the way from a trained parameter to the loss
is refused when the artifact is built, naming the node and its operator; behind frozen parameters
(`--trainable`) any operator whose output has a size known beforehand will do
([artifacts](artifacts.md)). Models may have opset 7 or later, an open or fixed batch axis, and
weights as initialisers, as initialisers that are also graph inputs, as `Constant` nodes, or behind
`Identity`.

Losses: {losses}. A final Softmax or Sigmoid is left out in training and kept in
the exported model. Batch normalisation keeps its statistics and trains scale and bias. Dropout
is active in local training only; its ratio must be constant and its mask unused.

Each rule is one entry of a table in `fedge/autodiff/rules`. One test compares every rule with
finite differences in float64 through onnxruntime. Another tries every rule on ties, zeros, integers
and constant rows: there its gradient must lie between the slopes to the left and to the right, and
equal torch's wherever torch gives a finite number. Where a slope is infinite, 0 is used: the
incoming gradient there is often 0, and 0 times infinity would turn every gradient before it into
NaN.

| operator | what it computes, and its gradient where that adds something |
|---|---|
"""


def document() -> str:
    """The whole document."""
    losses = ", ".join(f"`{name}`" for name in LOSSES)
    rows = [
        f"| {name} | {(rule.__doc__ or '').splitlines()[0].replace('|', chr(92) + '|')} |"
        for name, rule in sorted(RULES.items())
    ]
    return _HEAD.format(losses=losses) + "\n".join(rows) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
