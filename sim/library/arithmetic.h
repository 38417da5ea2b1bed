// Included before the generated code: sign extension by two shifts, for which compilers have one
// instruction, where Verilator's takes four.  Each cell of the array extends twice a cycle.
#pragma once

#include "verilated.h"

static inline IData penstock_extend(int bits, IData value) {
    return static_cast<IData>(static_cast<int32_t>(value << (32 - bits)) >> (32 - bits));
}

#define VL_EXTENDS_II(out_bits, bits, value) penstock_extend(bits, value)
#define VL_MULS_III(bits, left, right)                            \
    static_cast<IData>(static_cast<int32_t>(penstock_extend(bits, left)) * \
                       static_cast<int32_t>(penstock_extend(bits, right)))
