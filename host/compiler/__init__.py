"""From a quantised network to a program: lowering, planning, emission, verification.

`compile` is the entry; the steps are the sub-packages.  Imports `host.program`, `host.timing` and
`models`; never a device.
"""
