"""Inputs: image files and cameras, preprocessing, networks by name or file, the cache.

Imports `models`.  Imports nothing of the compiler or the devices.
"""
