"""The open tool chain for Gowin devices, and reading its bitstreams back.

Imports `hw.flow`.
"""
