"""The tops of boards: clocks, pins, and the core with its memory and its host interface.

Imports everything else in `hw` but `hw.flow`; the core does not depend on the board.
"""
