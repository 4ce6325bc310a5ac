// What an instruction set can do at most, from loops of nothing else: the limits that kernels are held
// against. One file per instruction set, compiled with the flags of its kernels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"

namespace sterna::bench {

struct Probe {
  kernels::Isa isa;
  const char* instruction;    // what multiplies and adds; nullptr: no such loop
  double multiply_adds;       // int8 products that a step of multiply() adds up
  std::uint32_t per_step;     // by which a step raises the result,
  std::uint32_t result_mask;  // which is known up to these bits

  // `steps` times a multiply-add to each of as many accumulators as hide its latency, all in registers.
  // Returns steps * per_step & result_mask.
  std::uint32_t (*multiply)(std::size_t steps);

  // Reads `bytes`, a multiple of 512, with the widest loads there are; returns the exclusive or of their
  // 64-bit words.
  std::uint64_t (*read)(const void* data, std::size_t bytes);
};

extern const Probe kScalarProbe;
#if defined(__x86_64__)
extern const Probe kAvx2Probe;
extern const Probe kAvxVnniProbe;
extern const Probe kAvx512Probe;
extern const Probe kAvx512VnniProbe;
#elif defined(__aarch64__)
extern const Probe kNeonProbe;
extern const Probe kNeonDotProbe;
extern const Probe kNeonI8mmProbe;
#endif

}  // namespace sterna::bench
