"""The core's top: descriptor fetch and sequencer, registers, run control, and all engines wired up.

`accel` is the block diagram.  Imports everything below it in `hw`; boards never appear here.
"""
