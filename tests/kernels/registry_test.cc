#include <array>

#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

bool everything(Isa) { return true; }
bool only_scalar(Isa isa) { return isa == Isa::scalar; }
bool all_but_neon(Isa isa) { return isa != Isa::neon; }

Kernels named(Isa isa, const char* name) {
  Kernels kernels = scalar_kernels();
  kernels.isa = isa;
  kernels.name = name;
  return kernels;
}

class SelectTest : public testing::Test {
 protected:
  Kernels scalar_ = named(Isa::scalar, "scalar");
  Kernels avx2_ = named(Isa::avx2, "avx2");
  Kernels neon_ = named(Isa::neon, "neon");
  std::array<const Kernels*, 3> all_ = {&scalar_, &avx2_, &neon_};
};

TEST_F(SelectTest, TakesTheFastestSupported) {
  EXPECT_EQ(select_kernels("", all_, everything), &neon_);
  EXPECT_EQ(select_kernels("", all_, all_but_neon), &avx2_);
  EXPECT_EQ(select_kernels("", all_, only_scalar), &scalar_);
}

TEST_F(SelectTest, TakesTheOneNamed) {
  EXPECT_EQ(select_kernels("scalar", all_, everything), &scalar_);
  EXPECT_EQ(select_kernels("avx2", all_, everything), &avx2_);
}

TEST_F(SelectTest, NeverTakesAnotherThanTheOneNamed) {
  EXPECT_EQ(select_kernels("avx2", all_, only_scalar), nullptr) << "named, in the binary, not supported";
  for (const char* unknown : {"AVX2", "avx", "avx512", "scalar ", "auto"}) {
    EXPECT_EQ(select_kernels(unknown, all_, everything), nullptr) << unknown;
  }
}

TEST(RegistryTest, ScalarIsAlwaysThereAndFirst) {
  ASSERT_FALSE(all_kernels().empty());
  EXPECT_EQ(scalar_kernels().isa, Isa::scalar);
  EXPECT_TRUE(supported(Isa::scalar));
  EXPECT_EQ(select_kernels("scalar"), &scalar_kernels());
}

TEST(RegistryTest, NamesAreThoseOfTheTables) {
  ASSERT_EQ(isa_names().size(), all_kernels().size());
  for (std::size_t i = 0; i < all_kernels().size(); ++i) EXPECT_EQ(isa_names()[i], all_kernels()[i]->name);
}

TEST(RegistryTest, EveryTableIsFull) {
  for (const Kernels* k : all_kernels()) {
#define STERNA_EXPECT_THERE(op) EXPECT_NE(k->op, nullptr) << k->name << " " #op;
    STERNA_KERNEL_OPS(STERNA_EXPECT_THERE)
#undef STERNA_EXPECT_THERE
  }
}

// This machine's own choice, printed so that a log shows what was tested.
TEST(RegistryTest, ChoosesSomethingThatRunsHere) {
  const Kernels* chosen = select_kernels("");
  ASSERT_NE(chosen, nullptr);
  EXPECT_TRUE(supported(chosen->isa));
  RecordProperty("chosen", chosen->name);
  for (const Kernels* k : all_kernels()) {
    EXPECT_EQ(select_kernels(k->name), supported(k->isa) ? k : nullptr);
  }
}

TEST(RegistryTest, ForeignInstructionSetsAreNotSupported) {
#if defined(__x86_64__)
  EXPECT_FALSE(supported(Isa::neon));
#else
  EXPECT_FALSE(supported(Isa::avx2));
#endif
}

}  // namespace
}  // namespace sterna::kernels
