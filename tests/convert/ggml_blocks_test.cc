// Blocks against plain readers that follow the definitions in ggml_blocks.h: one weight at a time.
#include "convert/ggml_blocks.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>

#include "kernels/dense_row/reference.h"
#include "kernels/lanes/half.h"

namespace sterna::convert {
namespace {

using Trits = std::array<std::int8_t, kTernaryBlock>;

constexpr kernels::Float16Bits kScale = 0x3C01;  // 1 + 2^-10: both bytes differ, so their order shows

int read_tq2(std::span<const std::uint8_t, kTq2Bytes> block, std::size_t i) {
  return (block[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1;
}

// As ggml reads a digit: what is left of the byte after n digits, times 3, upper byte.
int digit(std::uint8_t byte, std::size_t n) {
  for (; n > 0; --n) byte = static_cast<std::uint8_t>(byte * 3);
  return byte * 3 / 256 - 1;
}

int read_tq1(std::span<const std::uint8_t, kTq1Bytes> block, std::size_t i) {
  if (i < 160) return digit(block[i % 32], i / 32);
  if (i < 240) return digit(block[32 + (i - 160) % 16], (i - 160) / 16);
  return digit(block[48 + (i - 240) % 4], (i - 240) / 4);
}

// Every byte of five digits in turn: 243 blocks whose trits start at another place of the same cycle.
Trits block_number(unsigned n) {
  Trits trits{};
  std::mt19937 random(n);
  for (std::size_t i = 0; i < trits.size(); ++i) {
    const unsigned power[] = {81, 27, 9, 3, 1};
    trits[i] = static_cast<std::int8_t>(i < 160 ? n / power[i / 32] % 3 : random() % 3) - 1;
  }
  return trits;
}

TEST(GgmlBlocks, TernaryBlocksGiveEveryTritBack) {
  for (unsigned n = 0; n < 243; ++n) {
    const Trits trits = block_number(n);
    std::array<std::uint8_t, kTq2Bytes> tq2{};
    std::array<std::uint8_t, kTq1Bytes> tq1{};
    encode_tq2_0(trits, kScale, tq2);
    encode_tq1_0(trits, kScale, tq1);
    for (std::size_t i = 0; i < trits.size(); ++i) {
      ASSERT_EQ(read_tq2(tq2, i), trits[i]) << "block " << n << ", weight " << i;
      ASSERT_EQ(read_tq1(tq1, i), trits[i]) << "block " << n << ", weight " << i;
    }
    ASSERT_EQ(tq2[64] | tq2[65] << 8, kScale);
    ASSERT_EQ(tq1[52] | tq1[53] << 8, kScale);
  }
}

double read_q8(std::span<const std::uint8_t, kQ8Bytes> block, std::size_t i) {
  const auto bits = static_cast<std::uint16_t>(block[0] | block[1] << 8);
  return kernels::reference_half(bits, 5) * static_cast<std::int8_t>(block[2 + i]);
}

TEST(GgmlBlocks, Q8IsExactWhereTheScaleIs) {
  std::array<float, kQ8Block> values{};
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) - 16.0F;
  values[7] = -127.0F;  // scale 1
  std::array<std::uint8_t, kQ8Bytes> block{};
  ASSERT_TRUE(encode_q8_0(values, block));
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(read_q8(block, i), values[i]);
}

TEST(GgmlBlocks, Q8IsWithinHalfAStep) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 0.05F);
  for (int n = 0; n < 1000; ++n) {
    std::array<float, kQ8Block> values{};
    double largest = 0;
    for (float& v : values) {
      v = normal(random);
      largest = std::max(largest, std::fabs(static_cast<double>(v)));
    }
    std::array<std::uint8_t, kQ8Bytes> block{};
    ASSERT_TRUE(encode_q8_0(values, block));
    // Half a step, and up to 127 steps times the 2^-11 by which f16 may miss the scale; 0.01 of a step for
    // the float arithmetic before it.
    const double limit = largest / 127 * (0.5 + 127.0 / 2048 + 0.01);
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(read_q8(block, i), values[i], limit);
  }
}

TEST(GgmlBlocks, Q8OfZerosIsZeroAndOfTooMuchIsRefused) {
  std::array<float, kQ8Block> values{};
  std::array<std::uint8_t, kQ8Bytes> block{};
  ASSERT_TRUE(encode_q8_0(values, block));
  for (std::size_t i = 0; i < values.size(); ++i) EXPECT_EQ(read_q8(block, i), 0.0);
  values[3] = 1e7F;  // / 127 is above 65504
  EXPECT_FALSE(encode_q8_0(values, block));
}

}  // namespace
}  // namespace sterna::convert
