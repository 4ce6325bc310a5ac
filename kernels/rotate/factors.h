// The signs of an input rotation. The same numbers on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sterna::kernels {

// factors[i] = s[i] * float(1 / sqrt(block)) for rotate(), with block a power of two. s[i] is -1 where the
// top bit of output i of SplitMix64 (Steele, Lea and Flood 2014) is set, with the state
//     z = seed + (i + 1) * 0x9E3779B97F4A7C15
// and its mixing, all modulo 2^64.
void fill_rotation(std::uint32_t seed, std::size_t block, std::span<float> factors);

}  // namespace sterna::kernels
