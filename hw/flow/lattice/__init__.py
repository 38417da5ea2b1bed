"""The open tool chain for ECP5 devices, and reading its bitstreams back.

Imports `hw.flow`.
"""
