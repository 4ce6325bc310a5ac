// All kernels of one instruction set as a table of functions, and the choice of the table. Choose once, pass
// `const Kernels&` down. Every table computes the same bits (docs/kernels.md), so the choice shows in the
// speed only.
#pragma once

#include <span>
#include <string_view>

#include "kernels/add/add.h"
#include "kernels/attention/attention.h"
#include "kernels/dense_matmul/dense_matmul.h"
#include "kernels/dense_row/dense_row.h"
#include "kernels/divergence/divergence.h"
#include "kernels/gated_activation/gated_activation.h"
#include "kernels/isa.h"
#include "kernels/kernels.inc"
#include "kernels/kv_store/kv_store.h"
#include "kernels/quantize/quantize.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/rotate/rotate.h"
#include "kernels/screen/screen.h"
#include "kernels/softmax/softmax.h"
#include "kernels/split_row/split_row.h"
#include "kernels/ternary_matmul/ternary_matmul.h"
#include "kernels/views.h"

namespace sterna::kernels {

// One function pointer per operation, with the operation's name and the signature of its header:
// k.rms_norm(...).
struct Kernels {
  Isa isa;
  const char* name;
// NOLINTNEXTLINE(bugprone-macro-parentheses): a name
#define STERNA_KERNEL_MEMBER(op) decltype(&::sterna::kernels::op<Isa::scalar>) op;
  STERNA_KERNEL_OPS(STERNA_KERNEL_MEMBER)
#undef STERNA_KERNEL_MEMBER
};

// What this binary contains, slowest first, whether or not this machine can run it. Never empty: scalar is
// first.
[[nodiscard]] std::span<const Kernels* const> all_kernels();

// Their names in the same order, for messages such as "STERNA_ISA may be: scalar, avx2".
[[nodiscard]] std::span<const std::string_view> isa_names();

// Does the CPU, and the operating system with regard to the registers it saves, run this instruction set?
[[nodiscard]] bool supported(Isa isa);

// The fastest table that this machine supports, or the one named by `forced` (the value of STERNA_ISA; empty:
// free choice). nullptr if `forced` names no table of this binary or one that the machine cannot run.
[[nodiscard]] const Kernels* select_kernels(std::string_view forced);

// The same choice among `candidates` (slowest first) with the machine's answer as a parameter, so that every
// outcome can be tested on any machine.
[[nodiscard]] const Kernels* select_kernels(std::string_view forced,
                                            std::span<const Kernels* const> candidates,
                                            bool (*is_supported)(Isa));

}  // namespace sterna::kernels
