"""Boards on a serial port: the link's client, and one file for each board.

The only place that imports `serial`, inside functions.
"""
