#include <cstring>

#include "bench/probes/loops.h"

namespace sterna::bench {
namespace {

struct V {
  using Word = std::uint64_t;
  static Word zero_word() { return 0; }
  static Word load(const void* p) {
    Word word = 0;
    std::memcpy(&word, p, sizeof word);
    return word;
  }
  static Word either(Word a, Word b) { return a ^ b; }
  static std::uint64_t fold(Word word) { return word; }
};

}  // namespace

const Probe kScalarProbe = {kernels::Isa::scalar, nullptr, 0.0, 0, 0, nullptr, read_loop<V>};

}  // namespace sterna::bench
