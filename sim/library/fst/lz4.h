// The two functions of LZ4 that Verilator's FST writer calls, so that waves need no system package.
// Block format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
#pragma once

#include <cstdint>
#include <cstring>

inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

namespace lz4_detail {

inline uint8_t* put_length(uint8_t* out, unsigned length) {
    for (; length >= 255; length -= 255) *out++ = 255;
    *out++ = static_cast<uint8_t>(length);
    return out;
}

// A sequence: literals, then a match of `match` bytes `offset` back (none if match is 0).
inline uint8_t* put_sequence(uint8_t* out, const uint8_t* literals, unsigned count, unsigned offset,
                             unsigned match) {
    const unsigned extra = match ? match - 4 : 0;
    *out++ = static_cast<uint8_t>((count < 15 ? count : 15) << 4 | (extra < 15 ? extra : 15));
    if (count >= 15) out = put_length(out, count - 15);
    std::memcpy(out, literals, count);
    out += count;
    if (match) {
        *out++ = offset & 0xFF;
        *out++ = offset >> 8;
        if (extra >= 15) out = put_length(out, extra - 15);
    }
    return out;
}

}  // namespace lz4_detail

// Greedy search in a table of the last place of each 4-byte group.  `capacity` must be at least
// LZ4_compressBound(size).
inline int LZ4_compress_default(const char* source, char* target, int size, int capacity) {
    if (size < 0 || capacity < LZ4_compressBound(size)) return 0;
    const uint8_t* const begin = reinterpret_cast<const uint8_t*>(source);
    const uint8_t* const end = begin + size;
    // The format's rules: the last 5 bytes are literals, the last match starts 12 before the end.
    const uint8_t* const match_limit = end - 5;
    const uint8_t* const search_limit = end - 12;
    uint8_t* out = reinterpret_cast<uint8_t*>(target);
    const uint8_t* literals = begin;
    uint32_t table[4096] = {0};  // position + 1
    for (const uint8_t* here = begin; size > 12 && here < search_limit;) {
        uint32_t group;
        std::memcpy(&group, here, 4);
        uint32_t& slot = table[group * 2654435761u >> 20];
        const uint8_t* const there = slot ? begin + slot - 1 : nullptr;
        slot = static_cast<uint32_t>(here - begin) + 1;
        if (!there || here - there > 65535 || std::memcmp(here, there, 4) != 0) {
            ++here;
            continue;
        }
        unsigned match = 4;
        while (here + match < match_limit && here[match] == there[match]) ++match;
        out = lz4_detail::put_sequence(out, literals, static_cast<unsigned>(here - literals),
                                       static_cast<unsigned>(here - there), match);
        here += match;
        literals = here;
    }
    out = lz4_detail::put_sequence(out, literals, static_cast<unsigned>(end - literals), 0, 0);
    return static_cast<int>(out - reinterpret_cast<uint8_t*>(target));
}
