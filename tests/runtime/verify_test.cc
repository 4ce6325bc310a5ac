// Damage in tensors that are larger than what one thread checks at once.
#include "runtime/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kernels/split_row/pack.h"
#include "runtime/aligned_buffer.h"
#include "tests/support/engine.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;

// Two ternary matrices of 5 MiB and a few bytes, with a scale per row and group, all codes 1 and all scales
// 0.
class Damaged : public ::testing::Test {
 protected:
  Damaged() {
    for (std::size_t i = 0; i < 2; ++i) {
      StoredModel::Tensor t;
      t.spec.name = "tensor " + std::to_string(i);
      t.descriptor.rows = 2064;
      t.descriptor.columns = 8208;
      t.descriptor.layout = Layout::trit2;
      t.descriptor.group = 128;
      t.descriptor.scale_type = i == 0 ? kernels::ScaleType::f32 : kernels::ScaleType::f16;
      bytes_[i].assign(t.descriptor.bytes(), std::byte{0x55});
      std::fill_n(bytes_[i].begin(), t.descriptor.scale_bytes(), std::byte{0});
      t.bytes = bytes_[i];
      model_.tensors.push_back(t);
    }
    seal();
  }

  // Checksums that fit what is there now.
  void seal() {
    for (StoredModel::Tensor& t : model_.tensors) t.descriptor.crc32 = crc32_of(t.bytes);
  }

  std::string complaint() {
    const Status status = verify_tensors(model_, "f.gguf", testing::test_pool());
    return status ? "" : status.error().message;
  }

  std::size_t scale_bytes(std::size_t i) const { return model_.tensors[i].descriptor.scale_bytes(); }

  std::vector<std::byte> bytes_[2];
  StoredModel model_;
};

TEST(Crc32, IsTheOneOfZlibAndCombines) {
  const std::string text = "123456789";
  const auto bytes = std::as_bytes(std::span(text));
  EXPECT_EQ(crc32_of(bytes), 0xCBF43926U);  // the check value of CRC-32/ISO-HDLC
  for (std::size_t n = 0; n <= text.size(); ++n) {
    EXPECT_EQ(crc32_of(bytes.subspan(n), crc32_of(bytes.first(n))), 0xCBF43926U);
    EXPECT_EQ(combined_crc32(crc32_of(bytes.first(n)), crc32_of(bytes.subspan(n)), text.size() - n),
              0xCBF43926U);
  }
}

TEST_F(Damaged, NothingIsWrongWithWholeTensors) { EXPECT_EQ(complaint(), ""); }

TEST_F(Damaged, AFlippedBitAnywhereIsNoticed) {
  const std::size_t step = (std::size_t{128} << 10) - 1;  // meets every piece
  for (std::size_t at = 0; at < bytes_[1].size(); at += step) {
    bytes_[1][at] ^= std::byte{16};
    ASSERT_THAT(complaint(), HasSubstr("tensor 'tensor 1' does not match its checksum")) << at;
    bytes_[1][at] ^= std::byte{16};
  }
}

TEST_F(Damaged, CodeThreeAnywhereIsNoticed) {
  const std::size_t step = (std::size_t{512} << 10) - 1;
  const std::size_t last = bytes_[0].size() - 1;
  for (std::size_t at = scale_bytes(0); at <= last; at = at == last ? last + 1 : std::min(last, at + step)) {
    bytes_[0][at] = std::byte{0x5D};
    seal();
    ASSERT_THAT(complaint(), HasSubstr("tensor 'tensor 0' holds a code that no trit has")) << at;
    bytes_[0][at] = std::byte{0x55};
  }
}

// The other forms: a byte that is right everywhere, and one that no weight makes, at tiles across blocks.
TEST_F(Damaged, CodesThatNoWeightHasAreNoticedInEveryForm) {
  struct Form {
    Layout layout;
    std::size_t planes, group;
    std::byte right, wrong;
  };
  for (const Form& f : {Form{Layout::base3, 1, 0, std::byte{121}, std::byte{243}},
                        Form{Layout::pairs, 2, 128, std::byte{0x44}, std::byte{0x49}},
                        Form{Layout::triples, 3, 128, std::byte{0}, std::byte{0xFF}}}) {
    StoredModel::Tensor& t = model_.tensors[0];
    t.descriptor.layout = f.layout;
    t.descriptor.planes = f.planes;
    t.descriptor.group = f.group;
    bytes_[0].assign(t.descriptor.bytes(), f.right);
    std::fill_n(bytes_[0].begin(), t.descriptor.scale_bytes(), std::byte{0});
    t.bytes = bytes_[0];
    seal();
    ASSERT_EQ(complaint(), "") << layout_name(f.layout);
    const std::size_t first = kernels::round_up(scale_bytes(0), 64);
    for (std::size_t at = first; at < bytes_[0].size(); at += 320 * 1601) {
      // In triples a code above 26 takes its high bit as well, in the tile's last register.
      const std::size_t high = at - (at - first) % 320 + 256 + (at - first) % 64;
      bytes_[0][at] = f.wrong;
      if (f.layout == Layout::triples) bytes_[0][high] = f.wrong;
      seal();
      ASSERT_THAT(complaint(), HasSubstr("tensor 'tensor 0' holds a code that no trit has")) << at;
      bytes_[0][at] = f.right;
      if (f.layout == Layout::triples) bytes_[0][high] = f.right;
    }
  }
}

TEST_F(Damaged, AScaleThatIsNotFiniteIsNoticed) {
  const float infinite = std::numeric_limits<float>::infinity();
  for (const std::size_t at : {std::size_t{0}, scale_bytes(0) / 2, scale_bytes(0) - sizeof infinite}) {
    std::memcpy(&bytes_[0][at], &infinite, sizeof infinite);
    seal();
    EXPECT_THAT(complaint(), HasSubstr("tensor 'tensor 0' has a scale that is not finite")) << at;
    std::memset(&bytes_[0][at], 0, sizeof infinite);
  }
  const std::uint16_t nan = 0x7E00;
  for (const std::size_t at : {std::size_t{0}, scale_bytes(1) - sizeof nan}) {
    std::memcpy(&bytes_[1][at], &nan, sizeof nan);
    seal();
    EXPECT_THAT(complaint(), HasSubstr("tensor 'tensor 1' has a scale that is not finite")) << at;
    std::memset(&bytes_[1][at], 0, sizeof nan);
  }
}

TEST_F(Damaged, TheFirstInTheFileIsNamed) {
  bytes_[0].back() ^= std::byte{1};
  bytes_[1].front() ^= std::byte{1};
  EXPECT_THAT(complaint(), HasSubstr("'tensor 0'"));
}

TEST_F(Damaged, EveryPieceIsReportedAsRead) {
  std::atomic<std::size_t> read{0};
  ASSERT_TRUE(verify_tensors(
      model_, "f.gguf", testing::test_pool(),
      [&](const auto& /*tensor*/, std::span<const std::byte> piece) { read += piece.size(); }));
  EXPECT_EQ(read, bytes_[0].size() + bytes_[1].size());
}

// A split matrix of 20 x 200, all values 3 less than a multiple of 8, with the right checksum in any case.
TEST(SplitRowsInAFile, WithAnotherBoundThanTheirOwnAreRefused) {
  StoredModel model;
  StoredModel::Tensor t;
  t.spec.name = "split";
  t.descriptor.rows = 20;
  t.descriptor.columns = 200;
  t.descriptor.layout = Layout::i8_split;
  auto bytes = AlignedBuffer<std::byte>::create(t.descriptor.bytes(), "test");
  ASSERT_TRUE(bytes);
  t.bytes = bytes->span();
  model.tensors.push_back(t);
  const kernels::SplitView w = split_view(t.descriptor, t.bytes);
  auto* const codes = const_cast<std::uint8_t*>(w.codes);
  auto* const bounds = const_cast<float*>(w.bounds);
  const std::vector<std::int8_t> values(200, 5);
  for (std::size_t row = 0; row < 20; ++row) {
    kernels::pack_split_row(w, row, values.data(), codes + w.high_at(row), codes + w.plane_at(0, 0), bounds);
  }
  const auto complaint = [&] {
    model.tensors[0].descriptor.crc32 = crc32_of(t.bytes);
    const Status status = verify_tensors(model, "f.gguf", testing::test_pool());
    return status ? "" : status.error().message;
  };
  EXPECT_EQ(complaint(), "");
  for (const std::size_t at : {0U, 19U, 39U}) {
    const float right = bounds[at];
    for (const float wrong :
         {std::nextafter(right, 0.0F), -right, 0.0F, std::numeric_limits<float>::infinity(),
          std::numeric_limits<float>::quiet_NaN()}) {
      bounds[at] = wrong;
      EXPECT_THAT(complaint(), HasSubstr("tensor 'split' has a bound that is not that of its row")) << wrong;
    }
    bounds[at] = right;
  }
}

}  // namespace
}  // namespace sterna::runtime
