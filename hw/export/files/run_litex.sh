#!/bin/sh
# The core in a LiteX SoC in Icarus Verilog: prints PASS or FAIL.  Takes the SoC's bus, axi (the
# default) or wishbone; PYTHON names a Python that has LiteX.
set -e
cd "$(dirname "$0")"
"${PYTHON:-python3}" litex_soc.py "$@" >litex_soc.log 2>&1 || { tail -n 3 litex_soc.log >&2; exit 1; }
iverilog -g2012 -o litex_soc.vvp -s litex_tb litex_tb.v litex_soc.v ../penstock.v
vvp -n litex_soc.vvp
