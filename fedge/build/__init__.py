"""An ONNX model in, a training artifact out."""
