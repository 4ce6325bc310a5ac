// The two loops of a probe over V, which lies in an unnamed namespace of its file so that these are its own.
// V has
//   R, kSums, kStepProducts                register, accumulators, int8 products of a step of one accumulator
//   kLaneProducts, kSumsMask               of a lane, and the bits of a lane
//   ones8() zero() hide(R&)                hide: the compiler forgets what is known of a register, at no cost
//   step(sum, w, x)                        sum + products of w and x
//   add(R, R) first(R)                     lanes of sums; the first of them
//   Word, zero_word() load() either() fold()   reading: exclusive or of registers, at last to 64 bits
#pragma once

#include <cstddef>
#include <cstdint>

#include "bench/probes/probe.h"
#include "kernels/lanes/lanes.h"

namespace sterna::bench {

template <class V>
std::uint32_t multiply_loop(std::size_t steps) {
  typename V::R sums[V::kSums];
  kernels::unrolled<V::kSums>([&](auto i) __attribute__((always_inline)) { sums[i] = V::zero(); });
  typename V::R w = V::ones8();
  typename V::R x = V::ones8();
  V::hide(x);
  for (std::size_t step = 0; step < steps; ++step) {
    kernels::unrolled<V::kSums>([&](auto i) __attribute__((always_inline)) {
      V::hide(w);  // or one product would do for all accumulators
      sums[i] = V::step(sums[i], w, x);
      V::hide(sums[i]);  // or gcc 12 keeps sums of two steps, which do not fit into the registers
    });
  }
  typename V::R total = V::zero();
  kernels::unrolled<V::kSums>([&](auto i) __attribute__((always_inline)) { total = V::add(total, sums[i]); });
  return V::first(total) & V::kSumsMask;
}

template <class V>
std::uint64_t read_loop(const void* data, std::size_t bytes) {
  constexpr std::size_t kLoads = 8;
  const auto* at = static_cast<const std::uint8_t*>(data);
  typename V::Word words[kLoads];
  kernels::unrolled<kLoads>([&](auto i) __attribute__((always_inline)) { words[i] = V::zero_word(); });
  for (const std::uint8_t* end = at + bytes; at < end; at += kLoads * sizeof(typename V::Word)) {
    kernels::unrolled<kLoads>([&](auto i) __attribute__((always_inline)) {
      words[i] = V::either(words[i], V::load(at + i * sizeof(typename V::Word)));
    });
  }
  std::uint64_t folded = 0;
  kernels::unrolled<kLoads>([&](auto i) __attribute__((always_inline)) { folded ^= V::fold(words[i]); });
  return folded;
}

template <class V>
constexpr Probe make_probe(kernels::Isa isa, const char* instruction) {
  return {isa,
          instruction,
          static_cast<double>(V::kSums * V::kStepProducts),
          static_cast<std::uint32_t>(V::kSums * V::kLaneProducts),
          V::kSumsMask,
          multiply_loop<V>,
          read_loop<V>};
}

}  // namespace sterna::bench
