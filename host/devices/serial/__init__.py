"""Boards on a serial port: the link's client, and one file per board.

The only place that imports `serial`, inside functions.
"""
