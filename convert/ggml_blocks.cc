#include "convert/ggml_blocks.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "kernels/lanes/half.h"

namespace sterna::convert {
namespace {

void put_scale(kernels::Float16Bits scale, std::uint8_t* out) { std::memcpy(out, &scale, sizeof scale); }

// `count` digits that lie `stride` trits apart, the missing ones of five taken as 0.
std::uint8_t base3_byte(const std::int8_t* trits, std::size_t stride, std::size_t count) {
  unsigned value = 0;
  for (std::size_t n = 0; n < 5; ++n) {
    const int digit = n < count ? trits[n * stride] + 1 : 0;
    assert(digit >= 0 && digit <= 2);
    value = value * 3 + static_cast<unsigned>(digit);
  }
  return static_cast<std::uint8_t>((value * 256 + 242) / 243);
}

}  // namespace

void encode_tq2_0(std::span<const std::int8_t, kTernaryBlock> trits, kernels::Float16Bits scale,
                  std::span<std::uint8_t, kTq2Bytes> out) {
  for (std::size_t half = 0; half < 2; ++half) {
    for (std::size_t m = 0; m < 32; ++m) {
      unsigned byte = 0;
      for (std::size_t n = 0; n < 4; ++n) {
        const int code = trits[128 * half + 32 * n + m] + 1;
        assert(code >= 0 && code <= 2);
        byte |= static_cast<unsigned>(code) << 2 * n;
      }
      out[32 * half + m] = static_cast<std::uint8_t>(byte);
    }
  }
  put_scale(scale, &out[64]);
}

void encode_tq1_0(std::span<const std::int8_t, kTernaryBlock> trits, kernels::Float16Bits scale,
                  std::span<std::uint8_t, kTq1Bytes> out) {
  for (std::size_t m = 0; m < 32; ++m) out[m] = base3_byte(&trits[m], 32, 5);
  for (std::size_t m = 0; m < 16; ++m) out[32 + m] = base3_byte(&trits[160 + m], 16, 5);
  for (std::size_t m = 0; m < 4; ++m) out[48 + m] = base3_byte(&trits[240 + m], 4, 4);
  put_scale(scale, &out[52]);
}

bool encode_q8_0(std::span<const float, kQ8Block> values, std::span<std::uint8_t, kQ8Bytes> out) {
  float largest = 0.0F;
  for (const float value : values) largest = std::max(largest, std::fabs(value));
  const float scale = largest / 127.0F;
  const kernels::Float16Bits half = kernels::float_to_f16(scale);
  if ((half & 0x7C00U) == 0x7C00U) return false;
  put_scale(half, &out[0]);
  for (std::size_t i = 0; i < kQ8Block; ++i) {
    const float q = scale == 0.0F ? 0.0F : std::round(values[i] / scale);
    out[2 + i] = static_cast<std::uint8_t>(static_cast<std::int8_t>(std::clamp(q, -127.0F, 127.0F)));
  }
  return true;
}

}  // namespace sterna::convert
