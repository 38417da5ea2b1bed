"""Post-training quantisation: calibration, scales, integer weights, and the error it adds.

Imports `models.graph` and `models.golden`.  Scales read from other tools' files are turned into
multipliers and shifts here too (`rescale`).
"""
