#include "runtime/verify.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/split_row/pack.h"
#include "kernels/ternary_matmul/pack.h"

namespace sterna::runtime {
namespace {

// What a worker takes at once: small against a tensor of 300 MiB, which one thread would hold the others up
// with, large against the combination of two checksums (1 us).
constexpr std::size_t kSlice = std::size_t{1} << 20;

// What is read from memory for the checksum and then again, from the second-level cache, for its codes.
constexpr std::size_t kBlock = std::size_t{128} << 10;

struct Slice {
  std::size_t tensor = 0;
  std::size_t offset = 0;  // in the tensor's bytes
  std::size_t size = 0;
  std::uint32_t crc = 0;
  bool finite = true;
  bool valid_codes = true;
};

std::vector<Slice> slices_of(const StoredModel& model) {
  std::vector<Slice> slices;
  for (std::size_t i = 0; i < model.tensors.size(); ++i) {
    const std::size_t bytes = model.tensors[i].bytes.size();
    for (std::size_t at = 0; at < bytes; at += kSlice)
      slices.push_back({.tensor = i, .offset = at, .size = std::min(kSlice, bytes - at)});
  }
  return slices;
}

bool is_finite(std::uint16_t half) { return (half & 0x7C00U) != 0x7C00U; }
bool is_finite(float value) { return std::isfinite(value); }

template <class Scale>
bool all_finite(std::span<const std::byte> bytes) {
  bool finite = true;
  for (std::size_t i = 0; i + sizeof(Scale) <= bytes.size(); i += sizeof(Scale)) {
    Scale value;
    std::memcpy(&value, bytes.data() + i, sizeof value);
    finite = finite && is_finite(value);
  }
  return finite;
}

// Bytes [offset, offset + size) of a tensor. Blocks begin at multiples of their size, so no scale lies across
// two of them.
void check_block(const StoredModel::Tensor& t, std::size_t offset, std::size_t size, Slice& slice) {
  const TensorDescriptor& d = t.descriptor;
  const auto block = t.bytes.subspan(offset, size);
  slice.crc = crc32_of(block, slice.crc);
  if (offset < d.scale_bytes()) {
    const auto scales = block.first(std::min<std::size_t>(block.size(), d.scale_bytes() - offset));
    const bool halves = d.scale_type == kernels::ScaleType::f16;
    slice.finite = slice.finite && (halves ? all_finite<std::uint16_t>(scales) : all_finite<float>(scales));
  }
  const std::size_t codes = kernels::round_up(d.scale_bytes(), kFileAlignment);
  if (!is_ternary(d.layout) || offset + size <= codes) return;
  if (kernels::has_invalid_code(ternary_view(d, t.bytes), std::max(offset, codes) - codes,
                                offset + size - codes))
    slice.valid_codes = false;
}

// The first thing that is wrong with the tensor that `slices` make up.
Status judge(const StoredModel::Tensor& t, std::span<const Slice> slices, const std::string& where) {
  std::uint32_t crc = 0;
  bool finite = true;
  bool valid_codes = true;
  for (const Slice& slice : slices) {
    crc = combined_crc32(crc, slice.crc, slice.size);
    finite = finite && slice.finite;
    valid_codes = valid_codes && slice.valid_codes;
  }
  if (crc != t.descriptor.crc32) {
    return fail("{}: tensor '{}' does not match its checksum; the file is damaged: copy or convert it again",
                where, t.spec.name);
  }
  if (!finite) return fail("{}: tensor '{}' has a scale that is not finite", where, t.spec.name);
  if (!valid_codes) {
    return fail("{}: tensor '{}' holds a code that no trit has; the file is damaged", where, t.spec.name);
  }
  return {};
}

// Are the bounds of these rows of a split matrix those of their values?
bool right_bounds(const kernels::SplitView& w, std::size_t begin, std::size_t end) {
  bool all = true;
  for (std::size_t row = begin; row < end; ++row) {
    std::array<float, kernels::kSplitBounds> bounds{};
    kernels::split_bounds(w.row(row).planes, w.columns, bounds.data());
    all = all && w.bounds[row] == bounds[0] && w.bounds[w.rows + row] == bounds[1];
  }
  return all;
}

// The norms of a split matrix decide which of its products are computed, so each must be what the row says.
Status check_bounds(const StoredModel::Tensor& t, const std::string& where, ThreadPool& pool,
                    const PieceSink& after) {
  const kernels::SplitView w = split_view(t.descriptor, t.bytes);
  std::atomic<bool> right{true};
  constexpr std::size_t kRows = 1024;  // between two pieces that `after` may drop
  pool.run(w.rows, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t row = begin; row < end; row += kRows) {
      const std::size_t last = std::min(end, row + kRows);
      if (!right_bounds(w, row, last)) right = false;
      for (std::size_t i = 0; after && i < kernels::kSplitPlanes; ++i)
        after(t, std::as_bytes(std::span(w.codes + w.plane_at(i, row), (last - row) * w.plane_row_bytes())));
    }
  });
  if (right) return {};
  return fail(
      "{}: tensor '{}' has a bound that is not that of its row; the file is damaged: convert it again", where,
      t.spec.name);
}

}  // namespace

Status verify_tensors(const StoredModel& model, const std::string& where, ThreadPool& pool,
                      const PieceSink& after) {
  std::vector<Slice> slices = slices_of(model);
  pool.run(slices.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (Slice& slice : std::span(slices).subspan(begin, end - begin)) {
      const StoredModel::Tensor& t = model.tensors[slice.tensor];
      const auto bytes = t.bytes.subspan(slice.offset, slice.size);
      for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
        check_block(t, slice.offset + at, std::min(kBlock, bytes.size() - at), slice);
      }
      if (after) after(t, bytes);
    }
  });
  for (std::size_t first = 0; first < slices.size();) {
    std::size_t last = first;
    while (last < slices.size() && slices[last].tensor == slices[first].tensor) ++last;
    STERNA_CHECK(
        judge(model.tensors[slices[first].tensor], std::span(slices).subspan(first, last - first), where));
    first = last;
  }
  for (const StoredModel::Tensor& t : model.tensors) {
    if (t.descriptor.layout != Layout::i8_split) continue;
    STERNA_CHECK(check_bounds(t, where, pool, after));
  }
  return {};
}

}  // namespace sterna::runtime
