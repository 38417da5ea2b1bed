"""Files that a Zynq board needs beside the hardware: bitstream header, hardware handoff, overlay.

Imports `models.spec` only.  Loading them onto a board is `host.devices.pynq`.
"""
