"""Which tensors of a model are trained, which are frozen, which are not parameters: and why."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from fedge.autodiff import Stored
from fedge.errors import ConfigError

_NAMED = 20  # names listed in a refusal


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of one tensor of the model.

    Attributes:
        stored: the tensor, and the rule's verdict on it.
        is_parameter: whether it has a place in the flat vector.
        is_trained: whether it is in the vector's front part, which deltas cover.
        why: the reason, in words.
        is_doubtful: whether the file could mean the opposite; never where the user decided.
    """

    stored: Stored
    is_parameter: bool
    is_trained: bool
    why: str
    is_doubtful: bool

    @property
    def name(self) -> str:
        return self.stored.name


def choose(
    stored: Mapping[str, Stored],
    statistics: Collection[str],
    constants: Mapping[str, str],
    trainable: str | Sequence[str] | None,
    freeze: str | Sequence[str],
) -> tuple[Choice, ...]:
    """Applies the rule, then the user's patterns.

    Args:
        stored: the model's tensors.
        statistics: the standardisation's, which are kept but never trained.
        constants: tensors that are not parameters whatever the rule says, and why.
        trainable: patterns; a pattern that matches no parameter may name other tensors.
        freeze: patterns; what they match is not trained.

    Raises:
        ConfigError: if a pattern matches nothing.
    """
    known = {name: _known(found, constants.get(name)) for name, found in stored.items()}
    choices = {name: _by_rule(found, statistics) for name, found in known.items()}
    if trainable is not None:
        asked = _matching(choices, _patterns(trainable), "trainable")
        for name, choice in choices.items():
            choices[name] = _asked(choice) if name in asked else _frozen(choice, "not in trainable")
    for name in _matching(choices, _patterns(freeze), "freeze"):
        choices[name] = _frozen(choices[name], "frozen by name")
    return tuple(choices.values())


def as_built(
    choices: Iterable[Choice], gradients: Collection[str], remarks: Mapping[str, str]
) -> tuple[Choice, ...]:
    """The choices after building: what no gradient reached is frozen after all."""
    found = (
        replace(choice, is_trained=False, why="no gradient reaches it")
        if choice.is_trained and choice.name not in gradients
        else choice
        for choice in choices
    )
    return tuple(
        replace(choice, why=f"{choice.why}; {remarks[choice.name]}", is_doubtful=True)
        if choice.name in remarks
        else choice
        for choice in found
    )


def _known(stored: Stored, why: str | None) -> Stored:
    """The tensor as a constant, if it is known to be one."""
    if why is None:
        return stored
    return replace(stored, is_parameter=False, why=why, is_doubtful=False, padding=None)


def _by_rule(stored: Stored, statistics: Collection[str]) -> Choice:
    if stored.name in statistics:
        stored = replace(stored, kind="statistic", is_parameter=True)
        return Choice(stored, True, False, "standardises the input", False)  # noqa: FBT003
    is_trained = stored.is_parameter and stored.kind != "statistic"
    return Choice(stored, stored.is_parameter, is_trained, stored.why, stored.is_doubtful)


def _asked(choice: Choice) -> Choice:
    why = choice.why if choice.is_parameter else f"asked for, though {choice.why}"
    return replace(choice, is_parameter=True, is_trained=True, why=why, is_doubtful=False)


def _frozen(choice: Choice, why: str) -> Choice:
    if not choice.is_trained:
        return choice
    return replace(choice, is_trained=False, why=why, is_doubtful=False)


def _patterns(given: str | Sequence[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


def _matching(choices: Mapping[str, Choice], patterns: Sequence[str], option: str) -> set[str]:
    """The names that patterns match: parameters, or other tensors if no parameter matches."""
    trained = [name for name, choice in choices.items() if choice.is_trained]
    others = [name for name, choice in choices.items() if not choice.is_parameter]
    matched: set[str] = set()
    for pattern in patterns:
        found = [name for name in trained if fnmatchcase(name, pattern)]
        if not found and option == "trainable":
            found = [name for name in others if fnmatchcase(name, pattern)]
        if not found:
            names = ", ".join(trained[:_NAMED])
            raise ConfigError(f"{option} {pattern!r} matches no parameter; there are {names}")
        matched.update(found)
    return matched
