"""Random ONNX graphs for the importer, judged by onnxruntime: ``make fuzz-import``."""
