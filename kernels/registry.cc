#include "kernels/registry.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace sterna::kernels {
namespace {

// NOLINTBEGIN(bugprone-macro-parentheses): names
#define STERNA_INTEGER_ENTRY(op) .op = op<kIsa>,
#define STERNA_LANE_ENTRY(op) .op = op<kLanes>,
#define STERNA_TABLE(name_, lanes_)                                    \
  namespace name_ {                                                    \
  constexpr Isa kIsa = Isa::name_;                                     \
  constexpr Isa kLanes = Isa::lanes_;                                  \
  const Kernels kTable{.isa = kIsa,                                    \
                       .name = #name_,                                 \
                       STERNA_KERNEL_INTEGER_OPS(STERNA_INTEGER_ENTRY) \
                           STERNA_KERNEL_LANE_OPS(STERNA_LANE_ENTRY)}; \
  }
STERNA_KERNEL_ISAS(STERNA_TABLE)
#undef STERNA_TABLE
#undef STERNA_LANE_ENTRY
#undef STERNA_INTEGER_ENTRY
// NOLINTEND(bugprone-macro-parentheses)

#define STERNA_ADDRESS(name_, lanes_) &name_::kTable,
constexpr const Kernels* kAll[] = {STERNA_KERNEL_ISAS(STERNA_ADDRESS)};
#undef STERNA_ADDRESS

#define STERNA_NAME(name_, lanes_) #name_,
constexpr std::string_view kNames[] = {STERNA_KERNEL_ISAS(STERNA_NAME)};
#undef STERNA_NAME

#if defined(__x86_64__)
// The library's answers include that the system saves the registers. clang 14 knows neither "f16c" nor
// "avxvnni" as names.
bool supports_avx2() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

bool supports_avxvnni() {
  constexpr unsigned kAvxVnni = 1U << 4;
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return supports_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kAvxVnni) != 0;
}

bool supports_avx512() {
  return supports_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

bool supported_here(Isa isa) {
  switch (isa) {
    case Isa::avx2:
      return supports_avx2();
    case Isa::avxvnni:
      return supports_avxvnni();
    case Isa::avx512:
      return supports_avx512();
    case Isa::avx512vnni:
      return supports_avx512() && __builtin_cpu_supports("avx512vnni") &&
             __builtin_cpu_supports("avx512vbmi");
    default:
      return false;
  }
}
#elif defined(__aarch64__)
bool supported_here(Isa isa) {
  switch (isa) {
    case Isa::neon:
      return true;  // part of the AArch64 baseline
    case Isa::neondot:
      return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
    case Isa::neoni8mm:
      return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 && (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0;
    default:
      return false;
  }
}
#else
bool supported_here(Isa) { return false; }
#endif

}  // namespace

std::span<const Kernels* const> all_kernels() { return kAll; }

std::span<const std::string_view> isa_names() { return kNames; }

bool supported(Isa isa) { return isa == Isa::scalar || supported_here(isa); }

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
