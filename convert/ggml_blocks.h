// Blocks of weights as ggml stores them: what other programs' GGUF files are made of. Encoding only.
//
// Facts: ggml-common.h (block_tq1_0, block_tq2_0, block_q8_0) and ggml-quants.c of ggml-org/llama.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/views.h"

namespace sterna::convert {

inline constexpr std::size_t kTernaryBlock = 256;  // weights of a TQ1_0 or TQ2_0 block; rows are multiples
inline constexpr std::size_t kTq1Bytes = 54;
inline constexpr std::size_t kTq2Bytes = 66;
inline constexpr std::size_t kQ8Block = 32;  // weights of a Q8_0 block
inline constexpr std::size_t kQ8Bytes = 34;

// 256 trits of one scale, weight = scale * trit. TQ2_0: two halves of 128 weights, 32 bytes each: byte m of a
// half holds its weights m, 32 + m, 64 + m, 96 + m as trit + 1 in two bits, lowest first; then the scale.
void encode_tq2_0(std::span<const std::int8_t, kTernaryBlock> trits, kernels::Float16Bits scale,
                  std::span<std::uint8_t, kTq2Bytes> out);

// The same weights in base 3. Five digits d0 .. d4 (trit + 1, d0 the most significant) of the number
// v < 243 make the byte ceil(256 v / 243), whose digits a reader gets back by multiplying with 3. Bytes 0-31
// hold the weights m + 32 n, bytes 32-47 the weights 160 + m + 16 n, bytes 48-51 the weights 240 + m + 4 n
// (four digits, the fifth is 0), n the digit's number; then the scale.
void encode_tq1_0(std::span<const std::int8_t, kTernaryBlock> trits, kernels::Float16Bits scale,
                  std::span<std::uint8_t, kTq1Bytes> out);

// 32 weights as int8 with one scale: max |w| / 127 as f16, then w / scale, rounded. False if the scale is
// beyond the range of f16; all values must be finite.
[[nodiscard]] bool encode_q8_0(std::span<const float, kQ8Block> values,
                               std::span<std::uint8_t, kQ8Bytes> out);

}  // namespace sterna::convert
