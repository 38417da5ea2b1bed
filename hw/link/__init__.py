"""The serial link: a UART that a host reads and writes memory and registers through.

Imports `hw.bus`, `hw.lib` and the frames of `models.spec.link_frames`.
"""
