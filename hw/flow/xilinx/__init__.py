"""The open tool chain for 7-series devices (openXC7), and reading its bitstreams back.

Imports `hw.flow`.  A Vivado script for the same sources is written here too, untested.
"""
