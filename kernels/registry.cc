#include "kernels/registry.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace sterna::kernels {
namespace {

#define STERNA_ENTRY(op) .op = op<kIsa>,  // NOLINT(bugprone-macro-parentheses): a name
#define STERNA_TABLE(name_)                                                           \
  namespace name_ {                                                                   \
  constexpr Isa kIsa = Isa::name_;                                                    \
  const Kernels kTable{.isa = kIsa, .name = #name_, STERNA_KERNEL_OPS(STERNA_ENTRY)}; \
  }
STERNA_KERNEL_ISAS(STERNA_TABLE)
#undef STERNA_TABLE
#undef STERNA_ENTRY

#define STERNA_ADDRESS(name_) &name_::kTable,
constexpr const Kernels* kAll[] = {STERNA_KERNEL_ISAS(STERNA_ADDRESS)};
#undef STERNA_ADDRESS

#define STERNA_NAME(name_) #name_,
constexpr std::string_view kNames[] = {STERNA_KERNEL_ISAS(STERNA_NAME)};
#undef STERNA_NAME

bool supports_avx2() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  // libgcc's answer for AVX2 includes that the system saves the upper register halves; clang 14 knows no
  // "f16c".
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
#else
  return false;
#endif
}

}  // namespace

std::span<const Kernels* const> all_kernels() { return kAll; }

std::span<const std::string_view> isa_names() { return kNames; }

bool supported(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return supports_avx2();
    case Isa::neon:
#if defined(__aarch64__)
      return true;  // part of the AArch64 baseline
#else
      return false;
#endif
  }
  return false;
}

const Kernels* select_kernels(std::string_view forced, std::span<const Kernels* const> candidates,
                              bool (*is_supported)(Isa)) {
  const Kernels* best = nullptr;
  for (const Kernels* kernels : candidates) {
    if ((forced.empty() || forced == kernels->name) && is_supported(kernels->isa)) best = kernels;
  }
  return best;
}

const Kernels* select_kernels(std::string_view forced) { return select_kernels(forced, kAll, supported); }

}  // namespace sterna::kernels
