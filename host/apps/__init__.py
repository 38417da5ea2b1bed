"""What is built from compiler and runtime: screening in two stages, switching, self-test, checks.

Also opens devices by name (`open_device`).  Imports everything below; prints nothing.
"""
