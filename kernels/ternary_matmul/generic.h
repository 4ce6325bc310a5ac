// The loops around the one hand-written primitive, TernaryTiles<isa>::accumulate (scalar.cc, avx2.cc,
// neon.cc).
#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/ternary_matmul/ternary_matmul.h"

namespace sterna::kernels {

// The part of a block that lies in one group: up to eight tiles, the planes of each one after the other.
struct TileRun {
  const std::uint8_t* codes;
  std::size_t tiles;
};

// template <std::size_t planes, std::size_t tokens>
// static void accumulate(TileRun run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d):
//     d[16t + r] += sum over the run's columns c of code(r, c) * q[t * q_stride + c]
// where code(r, c) = sum over the planes of 3^(planes - 1 - plane) * the plane's code: W(r, c) plus an
// offset.
template <Isa isa>
struct TernaryTiles;

inline constexpr std::size_t kGroupTiles = kGroupColumns / kTileColumns;

constexpr std::int32_t plane_weight(std::size_t planes, std::size_t plane) {
  return plane + 1 == planes ? 1 : 3 * plane_weight(planes, plane + 1);
}

// d[16t + r] = -(offset * sum of q over the groups): what the sum of code * q will be too large by.
template <Isa isa, std::size_t planes, std::size_t tokens>
inline void start_dots(const QuantizedView& x, std::size_t token, std::size_t first_group, std::size_t groups,
                       std::int32_t* d) {
  constexpr std::int32_t code_offset = planes == 1 ? 1 : planes == 2 ? 4 : 13;
  for (std::size_t t = 0; t < tokens; ++t) {
    std::int32_t sum = 0;
    for (std::size_t g = 0; g < groups; ++g) sum += x.sums[(token + t) * x.sum_stride + first_group + g];
    for (std::size_t r = 0; r < kTileRows; ++r) d[kTileRows * t + r] = -code_offset * sum;
  }
}

// d[16t + r] += sum over the columns of `group` of code(r, c) * q[token + t, c], for one block.
template <Isa isa, std::size_t planes, std::size_t tokens>
inline void group_dots(const TernaryView& w, const QuantizedView& x, std::size_t block, std::size_t group,
                       std::size_t token, std::int32_t* d) {
  const std::size_t first = group * kGroupTiles;
  const std::size_t left = w.tiles() - first;
  const TileRun run{w.codes + (block * w.tiles() + first) * planes * kTileBytes,
                    left < kGroupTiles ? left : kGroupTiles};
  TernaryTiles<isa>::template accumulate<planes, tokens>(run, x.q + token * x.stride + group * kGroupColumns,
                                                         x.stride, d);
}

// D over all columns.
template <Isa isa, std::size_t planes, std::size_t tokens>
inline void block_dots(const TernaryView& w, const QuantizedView& x, std::size_t block, std::size_t token,
                       std::int32_t* d) {
  const std::size_t groups = round_up(w.columns, kGroupColumns) / kGroupColumns;
  start_dots<isa, planes, tokens>(x, token, 0, groups, d);
  for (std::size_t g = 0; g < groups; ++g) group_dots<isa, planes, tokens>(w, x, block, g, token, d);
}

template <Isa isa>
inline F32x16<isa> load_scales(const TernaryView& w, std::size_t block, std::size_t group) {
  const std::size_t at = (block * w.groups() + group) * kTileRows;
  return w.scale_type == ScaleType::f32
             ? load<isa, DenseType::f32>(static_cast<const float*>(w.scales) + at)
             : load<isa, DenseType::f16>(static_cast<const Float16Bits*>(w.scales) + at);
}

// The one scale of an ungrouped matrix in all lanes.
template <Isa isa>
inline F32x16<isa> load_scale(const TernaryView& w) {
  alignas(64) float first[kLanes];
  (w.scale_type == ScaleType::f32 ? load_first<isa, DenseType::f32>(w.scales, 1)
                                  : load_first<isa, DenseType::f16>(w.scales, 1))
      .store(first);
  return F32x16<isa>::broadcast(first[0]);
}

// One block, `tokens` tokens: the sums of the products and scales in the lanes (row = lane).
template <Isa isa, std::size_t planes, std::size_t tokens>
inline void block_sums(const TernaryView& w, const QuantizedView& x, std::size_t block, std::size_t token,
                       F32x16<isa>* sums) {
  using F = F32x16<isa>;
  alignas(64) std::int32_t d[tokens * kTileRows];
  unrolled<tokens>([&](auto t) { sums[t] = F::zero(); });
  const auto add_scaled = [&](F scale) {
    unrolled<tokens>([&](auto t) { sums[t] = sums[t] + scale * F::load_i32(d + kTileRows * t); });
  };
  if (w.group == 0) {
    block_dots<isa, planes, tokens>(w, x, block, token, d);
    return add_scaled(load_scale<isa>(w));
  }
  for (std::size_t g = 0; g < w.groups(); ++g) {
    start_dots<isa, planes, tokens>(x, token, g, 1, d);
    group_dots<isa, planes, tokens>(w, x, block, g, token, d);
    add_scaled(load_scales<isa>(w, block, g));
  }
}

inline constexpr std::size_t kTokensAtOnce = 4;

// body(tokens, token, block): all tokens of a block, in fours and then one at a time, while its codes are
// in the cache (16 rows x 8640 columns x 3 planes are 104 kB).
template <class Body>
[[gnu::always_inline]] inline void for_each_block(std::size_t tokens, std::size_t block_begin,
                                                  std::size_t block_end, Body&& body) {
  for (std::size_t block = block_begin; block < block_end; ++block) {
    std::size_t token = 0;
    for (; token + kTokensAtOnce <= tokens; token += kTokensAtOnce) {
      body(Index<kTokensAtOnce>{}, token, block);
    }
    for (; token < tokens; ++token) body(Index<1>{}, token, block);
  }
}

template <class Body>
[[gnu::always_inline]] inline void with_planes(std::size_t planes, Body&& body) {
  switch (planes) {
    case 1:
      return body(Index<1>{});
    case 2:
      return body(Index<2>{});
    case 3:
      return body(Index<3>{});
    default:
      assert(false && "1 to 3 planes");
  }
}

template <Isa isa>
void ternary_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block_begin,
                    std::size_t block_end, float* y, std::size_t y_stride) {
  using F = F32x16<isa>;
  with_planes(w.planes, [&](auto planes) {
    for_each_block(x.tokens, block_begin, block_end, [&](auto tokens, std::size_t token, std::size_t block) {
      F sums[tokens];
      block_sums<isa, planes, tokens>(w, x, block, token, sums);
      const std::size_t row = block * kTileRows;
      for (std::size_t t = 0; t < tokens; ++t) {
        const F result = F::broadcast(x.inverse_scale[token + t]) * sums[t];
        float* out = y + (token + t) * y_stride + row;
        row + kTileRows <= w.rows ? result.store(out) : store_first<isa>(result, out, w.rows - row);
      }
    });
  });
}

template <Isa isa>
void ternary_dot(const TernaryView& w, const QuantizedView& x, std::size_t block_begin, std::size_t block_end,
                 std::int32_t* d, std::size_t d_stride) {
  with_planes(w.planes, [&](auto planes) {
    for_each_block(x.tokens, block_begin, block_end, [&](auto tokens, std::size_t token, std::size_t block) {
      alignas(64) std::int32_t sums[tokens * kTileRows];
      block_dots<isa, planes, tokens>(w, x, block, token, sums);
      const std::size_t row = block * kTileRows;
      const std::size_t rows = w.rows - row < kTileRows ? w.rows - row : kTileRows;
      for (std::size_t t = 0; t < tokens; ++t) {
        __builtin_memcpy(d + (token + t) * d_stride + row, sums + t * kTileRows, rows * sizeof(std::int32_t));
      }
    });
  });
}

}  // namespace sterna::kernels
