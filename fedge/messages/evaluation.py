"""What a device reports in an evaluation round: sums over its validation examples."""

from dataclasses import dataclass
from typing import Any, Self

from fedge.artifact import Manifest
from fedge.artifact.layout import schema_hash
from fedge.errors import PayloadError
from fedge.messages import sums as sums_
from fedge.messages import wire
from fedge.messages.skim import Kind
from fedge.messages.update import MAX_ROUND
from fedge.training.metrics import Form, Sums, form_of
from fedge.types import RoundId

SCHEMA_BYTES = 32
_OVERHEAD = 512  # of the map, its keys, its numbers and the bins
_FIELDS = {"schema": Kind.OCTETS, "round": Kind.INTEGER, **sums_.FIELDS}
_OPTIONAL = {**sums_.OPTIONAL, "personal": Kind.OCTETS}
_WHAT, _PERSONAL = "evaluation", "evaluation of a personal model"


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """A device's answer to an evaluation round.

    CBOR map: `v`, `schema` (32 bytes), `round`, and the fields of the sums, see
    `fedge.messages.sums.written`. A device with a model of its own adds `personal`: bytes, the CBOR
    map of `v` and that model's sums over the same examples.

    It is sent the way an update is. All counts add up to the same number of answers, or it is
    refused.
    """

    schema: bytes
    round: RoundId
    sums: Sums
    personal: Sums | None = None

    def to_bytes(self) -> bytes:
        head = {"v": wire.VERSION, "schema": self.schema, "round": self.round}
        fields: dict[str, Any] = head | sums_.written(self.sums)
        if self.personal is not None:
            own = {"v": wire.VERSION, **sums_.written(self.personal)}
            fields["personal"] = wire.encode(own)
        return wire.encode(fields)

    @classmethod
    def from_bytes(cls, payload: bytes, manifest: Manifest) -> Self:
        """The sums of a model with this manifest, from bytes.

        Raises:
            PayloadError: unless they are for this model, and examples could have them.
        """
        form = form_of(manifest)
        fields = wire.decode_map(
            payload,
            _WHAT,
            fields=_FIELDS,
            optional=_OPTIONAL,
            max_bytes=max_bytes(manifest),
            max_values=wire.MAX_VALUES + sums_.n_counts(form),
        )
        personal = fields.get("personal")
        rest, most = len(payload) - len(personal or b""), _most(form)
        if rest > most:
            raise PayloadError(_WHAT, expected=f"at most {most} bytes of one model", found=rest)
        schema = wire.octets(fields["schema"], SCHEMA_BYTES, "evaluation schema")
        if schema != schema_hash(manifest.layout):
            raise PayloadError("evaluation schema", expected="this model's", found="another")
        sums = sums_.read(fields, form)
        round_ = wire.bounded(fields["round"], 0, MAX_ROUND, "evaluation round")
        return cls(
            schema=schema,
            round=RoundId(round_),
            sums=sums,
            personal=None if personal is None else _personal(personal, form, sums.n_examples),
        )


def max_bytes(manifest: Manifest) -> int:
    """The size limit of a report on this model."""
    return 2 * _most(form_of(manifest))


def _most(form: Form) -> int:
    """The size limit of one model's sums."""
    return _OVERHEAD + sums_.NUMBER_BYTES * sums_.n_counts(form)


def _personal(payload: bytes, form: Form, n_examples: float) -> Sums:
    fields = wire.decode_map(
        payload,
        _PERSONAL,
        fields=sums_.FIELDS,
        optional=sums_.OPTIONAL,
        max_bytes=_most(form),
        max_values=wire.MAX_VALUES + sums_.n_counts(form),
    )
    found = sums_.read(fields, form)
    if found.n_examples != n_examples:
        raise PayloadError(
            f"{_PERSONAL}: n_examples", expected=f"{n_examples:.0f}", found=int(found.n_examples)
        )
    return found
