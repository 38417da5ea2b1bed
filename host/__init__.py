"""Host: compiler, programs, devices, CPU layers, runtime and the command line."""
