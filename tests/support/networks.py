"""Small networks like those that devices train, for the engines' tests and benchmarks."""

from collections.abc import Callable, Mapping

from onnx import ModelProto

from fedge import Artifact, build_artifact
from fedge.bench.codecs import generated
from fedge.bench.codecs.models import wave_net, word_net
from fedge.simulation.model import perceptron
from tests.support.onnx_texts import model_of


def digits() -> ModelProto:
    """The demo's perceptron: 64, 192, 192, 10."""
    return perceptron((64,), 10, seed=0)


def waves() -> ModelProto:
    """For windows of a sensor signal: two strided convolutions, two layers."""
    return wave_net(generated.N_SAMPLES, generated.N_WAVES, seed=0)


def words() -> ModelProto:
    """A table of word vectors, their mean, two layers."""
    return word_net(generated.N_WORDS, generated.N_TOKENS, generated.N_TOPICS, seed=0)


def images() -> ModelProto:
    """28 x 28 pixels: two 3 x 3 convolutions with normalisation, pooling and dropout."""
    return model_of(
        "c = Conv <pads = [1, 1, 1, 1]> (x, w1) n = BatchNormalization (c, s, b, m, v) "
        "r = Relu (n) p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r) d = Dropout (p) "
        "c2 = Conv <pads = [1, 1, 1, 1]> (d, w2, b2) r2 = Relu (c2) "
        "p2 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r2) "
        "f = Flatten (p2) y = Gemm (f, w3, b3)",
        inputs="float[N, 1, 28, 28] x",
        outputs="float[N, 10] y",
        w1=(8, 1, 3, 3),
        s=[1.0] * 8,
        b=[0.0] * 8,
        m=[0.0] * 8,
        v=[1.0] * 8,
        w2=(16, 8, 3, 3),
        b2=(16,),
        w3=(784, 10),
        b3=(10,),
    )


def attention() -> ModelProto:
    """Six steps of eight numbers: one attention head, GELU, layer normalisation."""
    return model_of(
        "q = MatMul (x, wq) k = MatMul (x, wk) v = MatMul (x, wv) "
        "t = Transpose <perm = [0, 2, 1]> (k) a = MatMul (q, t) w = Softmax (a) h = MatMul (w, v) "
        "z = Add (x, h) n = LayerNormalization (z, s, b) half = Constant <value_float = 0.5> () "
        "one = Constant <value_float = 1.0> () i = Constant <value_float = 0.70710677> () "
        "u = Mul (n, i) e = Erf (u) e1 = Add (e, one) g = Mul (n, e1) g2 = Mul (g, half) "
        "f = Flatten (g2) y = Gemm (f, wo, bo)",
        inputs="float[N, 6, 8] x",
        outputs="float[N, 3] y",
        wq=(8, 8),
        wk=(8, 8),
        wv=(8, 8),
        s=[1.0] * 8,
        b=[0.0] * 8,
        wo=(48, 3),
        bo=(3,),
    )


NETWORKS: Mapping[str, Callable[[], ModelProto]] = {
    make.__name__: make for make in (digits, waves, words, images, attention)
}


def build_network(name: str, batch_size: int = 16) -> Artifact:
    return build_artifact(NETWORKS[name](), loss="cross_entropy", batch_size=batch_size)
