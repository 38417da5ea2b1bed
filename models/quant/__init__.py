"""Post-training quantisation: calibration, scales, integer weights, and what it costs.

Imports `models.graph` and `models.golden`.  Scales read from other tools' files are turned into
multipliers and shifts here too (`rescale`).
"""
