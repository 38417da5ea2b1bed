#!/bin/sh
# The example in Icarus Verilog: prints PASS or FAIL.
set -e
cd "$(dirname "$0")"
iverilog -g2012 -o axi_example.vvp -s axi_example_tb \
    axi_example_tb.v axi_example.v axi_memory.v ../penstock.v
vvp -n axi_example.vvp
