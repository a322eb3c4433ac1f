"""Models of the data folder that other people made, with the loss that trains each."""

CLASSIFIERS = [
    "onnx/cifar10_cnn.onnx",
    "onnx/iris_mlp.onnx",
    "onnx/mnist_cntk_opset8.onnx",
    "onnx/mnist_lenet_static_untrained.onnx",
    "onnx/mnist_mlp784_untrained.onnx",
    "onnx/tinyml_kws_dscnn.onnx",
    "onnx/tinyml_resnet8_cifar10.onnx",
    "onnx_ref/adult_emb_mlp.onnx",
    "onnx_ref/har_cnn1d.onnx",
    "onnx_ref/mnist_lenet.onnx",
]
REGRESSIONS = ["onnx/tinyml_ad_autoencoder.onnx", "onnx_ref/beijing_cnn1d.onnx"]
MODELS = [(name, "cross_entropy") for name in CLASSIFIERS] + [(name, "mse") for name in REGRESSIONS]
