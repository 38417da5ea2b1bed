"""The program: descriptors and weights in one image, tensor layouts, and memory traffic.

Imports `models.spec` only.  Compiling a network to a program is `host.compiler`.
"""
