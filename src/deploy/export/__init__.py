"""A trained encoder in the formats that others read: transformers, sentence-transformers, ONNX."""
