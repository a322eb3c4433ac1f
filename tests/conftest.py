"""What holds for every test."""

import os

# Some tests run graphs in onnxruntime on their own; it must not report to its maker then either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
