"""What runs a graph: onnxruntime, or onnx's reference in NumPy if that is not available."""

from fedge.training.engines.choice import ENGINES, Choice, EngineName, EngineWish, choose, load
from fedge.training.engines.protocol import Engine, Opener

__all__ = ["ENGINES", "Choice", "Engine", "EngineName", "EngineWish", "Opener", "choose", "load"]
