"""Models in ONNX's text form with their tensors, as exporters leave them, for tests of tracing."""

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper, parser

from fedge.autodiff import to_model, trace
from tests.support.onnx_runs import run_onnxruntime

RNG = np.random.default_rng(0)
KIND = "pkg.torch.export.graph_signature.InputSpec.kind"


def model_of(
    nodes: str, *, inputs: str = "float[N, 4] x", outputs: str = "float[N, M] y", opset: int = 17
) -> onnx.ModelProto:
    """A model in ONNX's text form; tensors are added with `store`."""
    text = f'<ir_version: 8, opset_import: ["": {opset}]> m ({inputs}) => ({outputs}) {{ {nodes} }}'
    return parser.parse_model(text)


def store(model: onnx.ModelProto, **tensors: npt.ArrayLike) -> onnx.ModelProto:
    for name, value in tensors.items():
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


def random(*shape: int) -> npt.NDArray:
    return RNG.standard_normal(shape).astype(np.float32)


def assert_same_meaning(model: onnx.ModelProto, x: npt.NDArray) -> None:
    """The traced graph computes what onnxruntime computes of the model itself."""
    traced = trace(model, batch_size=len(x))
    inputs = [*traced.inputs, *traced.parameters]
    again = to_model(traced.graph, inputs, {"result": traced.outputs[0]})
    feeds = {name: p.value for name, p in traced.parameters.items()} | {traced.inputs[0]: x}
    (want,), (got,) = run_onnxruntime(model, {traced.inputs[0]: x}), run_onnxruntime(again, feeds)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def by_torch(model: onnx.ModelProto, **kinds: str) -> onnx.ModelProto:
    """As torch's exporters sign their models; the newer one says what each tensor is."""
    model.producer_name = "pytorch"
    for name, kind in kinds.items():
        info = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        info.metadata_props.add(key=KIND, value=kind)
        model.graph.value_info.append(info)
    return model


def sinusoids(n_positions: int, width: int) -> np.ndarray:
    """Vaswani et al., 2017, section 3.5."""
    angles = np.arange(n_positions)[:, None] / 10_000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(n_positions, width)
