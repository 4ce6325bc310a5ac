// The bits of a split row in registers: 128 columns of a chunk as kVectors of kBytes columns each. The
// vectors are the compilers' own, so that one source serves every width; what has no operator (the same 16
// bytes in every part of a register) is in the file of the instruction set.
#pragma once

#include "kernels/lanes/lanes.h"

namespace sterna::kernels {

template <std::size_t bytes>
struct CodeTypes {
  typedef std::uint8_t Bytes __attribute__((vector_size(bytes)));   // NOLINT(modernize-use-using)
  typedef std::uint32_t Words __attribute__((vector_size(bytes)));  // NOLINT(modernize-use-using)
};

// kBytes, and repeat(p): 16 bytes from p in every 16 bytes of a register. Wider registers have their own
// (ops_avx2.h, ops_avx512.h).
template <Isa isa>
struct SplitOps {
  static constexpr std::size_t kBytes = 16;
  using Words = CodeTypes<kBytes>::Words;
  [[gnu::always_inline]] static Words repeat(const std::uint8_t* p) {
    Words words;
    __builtin_memcpy(&words, p, sizeof words);
    return words;
  }
};

template <Isa isa>
struct SplitCodes {
  static constexpr std::size_t kBytes = SplitOps<isa>::kBytes;
  static constexpr std::size_t kVectors = kSplitColumns / kBytes;
  static constexpr std::size_t kNibbleVectors = kVectors / 2;
  using Bytes = typename CodeTypes<kBytes>::Bytes;
  using Words = typename CodeTypes<kBytes>::Words;

  // Bit 4 of every byte of vector i, as it is in the 16 bytes of a chunk: 16 columns ("steps") a bit, the
  // first four in bits 4 to 7, the rest in bits 0 to 3. Shifts cross bytes below bit 4 only.
  template <std::size_t i>
  [[gnu::always_inline]] static Words bit(Words bits) {
    constexpr std::size_t step = i * kBytes / 16 % 4;
    const Words from = i < kNibbleVectors ? bits : bits << 4;
    if constexpr (kBytes == 16) {
      return (from >> step) & 0x10101010U;
    } else {
      Words shift;
      for (std::size_t word = 0; word < kBytes / 4; ++word)
        shift[word] = static_cast<std::uint32_t>(step + word / 4);
      return (from >> shift) & 0x10101010U;
    }
  }

  [[gnu::always_inline]] static Words load(const std::uint8_t* p) {
    Words words;
    __builtin_memcpy(&words, p, sizeof words);
    return words;
  }

  // u[i] = the high five bits of the columns of vector i.
  [[gnu::always_inline]] static void high(const std::uint8_t* nibbles, const std::uint8_t* fifths,
                                          Bytes (&u)[kVectors]) {
    const Words bits = SplitOps<isa>::repeat(fifths);
    unrolled<kNibbleVectors>([&](auto i) __attribute__((always_inline)) {
      const Words pair = load(nibbles + i * kBytes);
      u[i] = reinterpret_cast<Bytes>((pair & 0x0F0F0F0FU) | bit<i>(bits));
      u[i + kNibbleVectors] =
          reinterpret_cast<Bytes>((pair >> 4 & 0x0F0F0F0FU) | bit<i + kNibbleVectors>(bits));
    });
  }
};

}  // namespace sterna::kernels
