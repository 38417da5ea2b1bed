"""The program: descriptors and weights in one image, tensor layouts, and what it moves.

Imports `models.spec` only.  How a network becomes a program is the compiler's business.
"""
