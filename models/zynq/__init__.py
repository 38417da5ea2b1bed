"""Files for a Zynq board: bitstream header, hardware handoff, overlay.

Imports `models.spec` only.  Loading them onto a board is `host.devices.pynq`.
"""
