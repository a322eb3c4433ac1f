"""An ONNX forward graph in, a graph of loss and gradients out."""
