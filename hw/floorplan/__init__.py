"""Floorplans: sites of multipliers and block RAMs on a device, for place and route.

One file for each device family.  Imports `models.spec.arch` only.
"""
