// What this machine can do at most, measured by probes in the same run and held against every kernel.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "bench/probes/probe.h"

namespace sterna::bench {

// Seconds of processor time that this thread has used: what other work on the machine takes does not count.
double thread_seconds();

// The probes of this binary that the machine runs, slowest first.
std::span<const Probe* const> probes();

// Multiply-adds per second of the instructions that this instruction set's ternary products use; 0 where
// there is no probe. Measured at the first call.
double peak_multiply_adds(kernels::Isa isa);

// One level of the memory that a thread reads.
struct Level {
  std::string name;          // "L1", ..., "memory"
  std::size_t size;          // bytes that it holds; of memory: SIZE_MAX
  std::size_t buffer_bytes;  // that its probe reads
};
std::span<const Level> levels();

// The first level that holds this many bytes.
const Level& level_of(std::size_t bytes);

// Bytes per second that one thread reads from it with the widest loads. Measured at the first call.
double read_bandwidth(const Level& level);

// Are the loops what they claim to be: does multiply() add up what it should, does read() see every byte?
bool is_right(const Probe& probe);

}  // namespace sterna::bench
