"""Hardware: the accelerator core and the board designs, in Amaranth."""
