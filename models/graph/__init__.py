"""Networks as graphs: layers, shapes, the builder, the saved-model file.

Imports `models.data` for class names.  What a layer computes is in `models.golden`.
"""
