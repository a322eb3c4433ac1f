"""From a model and a loss to the artifact that devices train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from fedge.artifact import Artifact
from fedge.artifact.layout import Layout, arrange, flatten, n_params
from fedge.artifact.manifest import DTYPES, MAX_BATCH, InputSpec, Manifest
from fedge.autodiff import (
    OPSET,
    Parameter,
    find_stored,
    get_loss,
    input_tensors,
    settle_copies,
    to_bytes,
    trace,
)
from fedge.builder.agreement import check_scores
from fedge.builder.check.examples import kinds_of_examples
from fedge.builder.choices import Choice, as_built, choose
from fedge.builder.classical import rewrite_classical
from fedge.builder.fixed import fix_inputs
from fedge.builder.forward import check_forward
from fedge.builder.graphs import eval_graph, loss_graph, train_graph
from fedge.builder.infer import inference_model
from fedge.builder.outputs import Output, choose_output, shape_output
from fedge.builder.reading import read_model
from fedge.builder.standardize import Given, add_standardization, plan_standardization
from fedge.builder.target import as_choices, scale_output, target_statistics
from fedge.errors import ArtifactError, ConfigError, ModelError, TrainingError
from fedge.training import ArrayData, Trainer
from fedge.training.plan import BATCH_SIZE
from fedge.types import Array, Vector


@dataclass(frozen=True, slots=True)
class Built:
    """An artifact, and what became of every tensor of its original model."""

    artifact: Artifact
    tensors: tuple[Choice, ...]
    output: Output


def build_artifact(  # noqa: PLR0913 - one keyword per decision; the public name
    model: str | Path | bytes | onnx.ModelProto,
    *,
    loss: str,
    trainable: str | Sequence[str] | None = None,
    freeze: str | Sequence[str] = (),
    optimizer: str = "sgd",
    quantize: str | None = None,
    batch_size: int = BATCH_SIZE,
    standardize: Given | Literal["federated"] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    output: str | None = None,
    input_values: Mapping[str, npt.ArrayLike] | None = None,
) -> Artifact:
    """Builds everything a device needs to train an ONNX model.

    The same arguments give the same bytes.

    Args:
        model: a path, the bytes of a file, or the model itself; float32, opset 7
            or later, with the scores as one output. Dropout is active only in training;
            batch normalisation keeps its statistics.
        loss: "cross_entropy" (targets int64 (n, ...), scores (n, classes, ...)),
            "mse" or "binary_cross_entropy" (targets float32, of the output's
            shape). A final Softmax or Sigmoid is skipped in training.
        trainable: names of the parameters to train, with * and ?; None means all. A
            pattern that matches no parameter may name tensors that the rule of
            `fedge.autodiff.parameters` leaves out: they become parameters.
        freeze: names of parameters not to train, with the same patterns.
        optimizer: only "sgd" in this version.
        quantize: only None in this version.
        batch_size: examples in one step of the graph, 1 to 65536. A larger batch
            is accumulated over several steps, a smaller one is padded.
        standardize: "federated" if the fleet is to find the mean and scale of each
            float32 input (with mse, of the target too), or (mean, standard deviation)
            by input. Missing (NaN) input values then count as the mean.
        input_shapes: the shape of one example, for inputs with open axes.
        output: the name of the value that holds the scores: an output, or any value that a node
            computes; None means the only floating-point output. The rest of the model is dropped.
        input_values: inputs that are not data, each fixed to a number, or to as many numbers as
            the input's shape holds.

    Raises:
        ModelError: naming the node and operator that cannot be trained, or where the graph
            that was built computes something other than the model.
        ConfigError: if an argument is unknown or matches nothing.
    """
    _check_options(optimizer, quantize, batch_size)
    return build(
        model,
        loss=loss,
        trainable=trainable,
        freeze=freeze,
        batch_size=batch_size,
        standardize=standardize,
        input_shapes=input_shapes,
        output=output,
        input_values=input_values,
    ).artifact


def build(  # noqa: PLR0913, PLR0915 - one keyword per decision, one step after the other
    model: str | Path | bytes | onnx.ModelProto,
    *,
    loss: str,
    trainable: str | Sequence[str] | None = None,
    freeze: str | Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
    standardize: Given | Literal["federated"] | None = None,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    output: str | None = None,
    input_values: Mapping[str, npt.ArrayLike] | None = None,
) -> Built:
    """Like `build_artifact`, but also returns the table of the model's tensors."""
    chosen = get_loss(loss)
    source = read_model(model)
    constants = fix_inputs(source, input_values or {})
    chosen_output = choose_output(source, output)
    specs = plan_standardization(_input_specs(source, input_shapes or {}), standardize)
    add_standardization(source, specs, standardize)
    given = onnx.ModelProto()
    given.CopyFrom(source)
    constants |= rewrite_classical(source)
    remarks = settle_copies(source)
    statistics = {name for spec in specs for name in (spec.mean_slot, spec.scale_slot)}
    choices = choose(find_stored(source), statistics, constants, trainable, freeze)
    wanted = [choice.name for choice in choices if choice.is_parameter]
    traced = trace(source, batch_size=batch_size, input_shapes=input_shapes, wanted=wanted)
    shape_output(source, traced.graph.shape(traced.outputs[0])[1:])
    parameters = _checked({c.name: c.stored.parameter for c in choices if c.is_parameter})
    trained = [choice.name for choice in choices if choice.is_trained]
    scales_target = standardize == "federated" and loss == "mse"
    made = loss_graph(traced, chosen, trained, scales_target=scales_target)
    statistics_of_target = target_statistics(made.target)
    parameters |= statistics_of_target
    layout = _layout(parameters, made.gradients)
    manifest = Manifest(
        batch_size=batch_size,
        loss=loss,
        opset=OPSET,
        inputs=specs,
        target=made.target,
        layout=layout,
        dropout=made.dropout,
    )
    scale_output(source, made.target)
    infer = to_bytes(inference_model(source, parameters))
    graphs = train_graph(made, layout), eval_graph(made, layout), infer
    examples = kinds_of_examples(manifest, graphs[1], np.random.default_rng(0))
    # Before the graphs are judged as a device judges them: this refusal says what to do about it.
    inputs = check_forward(given, traced, _batches(examples, batch_size))
    artifact = _artifact(manifest, graphs, _values(layout, parameters))
    _check_training(artifact, inputs, examples)
    tensors = (*as_built(choices, made.gradients, remarks), *as_choices(statistics_of_target))
    return Built(artifact, tensors, chosen_output)


def _artifact(manifest: Manifest, graphs: tuple[bytes, bytes, bytes], values: Vector) -> Artifact:
    """The artifact, if devices will accept its graphs."""
    try:
        return Artifact(manifest, *graphs, values)
    except ArtifactError as error:
        raise ModelError(f"devices would refuse this model: {error}") from None


def _batches(examples: ArrayData, size: int) -> list[Mapping[str, Array]]:
    """All examples in batches of this size, and one batch of zeros."""
    starts = range(0, examples.n_examples, size)
    batches = [{n: x[i : i + size] for n, x in examples.inputs.items()} for i in starts]
    return [*batches, {name: np.zeros_like(x) for name, x in batches[0].items()}]


def _check_training(artifact: Artifact, inputs: Mapping[str, Array], examples: ArrayData) -> None:
    """Refuses an artifact whose training graph does not run, or gives scores no loss can take."""
    size = artifact.manifest.batch_size
    try:
        Trainer(artifact).loss_and_gradient(artifact.parameters, inputs, examples.targets[:size])
    except (ArtifactError, TrainingError) as error:
        raise ModelError(f"the training graph does not run: {error}") from None
    if artifact.manifest.target.n_classes:
        starts = range(0, examples.n_examples, size)
        check_scores(artifact, (ArrayData(*examples.batch(np.arange(i, i + size))) for i in starts))


def _check_options(optimizer: str, quantize: str | None, batch_size: int) -> None:
    if optimizer != "sgd":
        raise ConfigError(f"optimizer {optimizer!r} is not in this version; only 'sgd' is")
    if quantize is not None:
        raise ConfigError(f"quantize={quantize!r} is not in this version; only None is")
    if not 1 <= batch_size <= MAX_BATCH:
        raise ConfigError(f"batch_size must be 1 to {MAX_BATCH}, not {batch_size}")


def _input_specs(
    model: onnx.ModelProto, examples: Mapping[str, Sequence[int]]
) -> tuple[InputSpec, ...]:
    tensors = input_tensors(model, 1, examples)
    for name, tensor in tensors.items():
        if name.startswith("fedge."):
            raise ModelError(f"input {name!r} has a name that fedge reserves; rename it")
        if tensor.dtype.name not in DTYPES:
            raise ModelError(f"input {name!r} has type {tensor.dtype}, which is not a number")
    return tuple(
        InputSpec(name=name, dtype=tensor.dtype.name, shape=tensor.shape[1:])
        for name, tensor in tensors.items()
    )


def _checked(parameters: dict[str, Parameter]) -> dict[str, Parameter]:
    """The same parameters, if a flat vector can hold them."""
    for name, parameter in parameters.items():
        if name.startswith("fedge."):
            raise ModelError(f"parameter {name!r} has a name that fedge reserves; rename it")
        if parameter.value.dtype != np.float32:
            raise ModelError(
                f"parameter {name!r} is {parameter.value.dtype}; convert the model to float32"
            )
        if not np.isfinite(parameter.value).all():
            raise ModelError(f"parameter {name!r} holds NaN or infinity")
    return parameters


def _layout(parameters: Mapping[str, Parameter], gradients: Mapping[str, str]) -> Layout:
    if not gradients:
        raise ModelError(
            "the model has no parameter that training can reach; parameters are float32 tensors "
            "on the way from an input to the first output"
        )
    return arrange(
        (name, parameter.value.shape, name in gradients, parameter.kind)
        for name, parameter in parameters.items()
    )


def _values(layout: Layout, parameters: Mapping[str, Parameter]) -> Vector:
    values: Vector = np.empty(n_params(layout), np.float32)
    flatten(layout, {name: parameter.value for name, parameter in parameters.items()}, values)
    return values
