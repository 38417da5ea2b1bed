"""The hardware in Amaranth: the accelerator core, boards around it, and the flow to a bitstream.

Imports `models` (tables) and Amaranth; never `host` or `sim`.  From small to large: `lib`, `bus`,
`array`, `engines`, `core`, then `memory` and `link`, `boards`, `floorplan` and `flow`.
"""
