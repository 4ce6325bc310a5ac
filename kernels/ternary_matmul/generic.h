// The loops around the one hand-written primitive, TernaryTiles<isa>::accumulate.
#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/ternary_matmul/codes.h"
#include "kernels/ternary_matmul/ternary_matmul.h"

namespace sterna::kernels {

// Tiles next to each other in one block, the planes of each one after the other; the same tiles of the next
// block lie block_bytes further on.
struct TileRun {
  const std::uint8_t* codes;
  std::size_t tiles;
  std::size_t block_bytes;

  // Where the same tiles of the blocks lie that come next: what to prefetch.
  template <std::size_t blocks>
  [[nodiscard, gnu::always_inline]] std::size_t ahead() const {
    return blocks * block_bytes > kPrefetchBytes ? blocks * block_bytes : kPrefetchBytes;
  }
};

// template <class C, std::size_t blocks, std::size_t tokens>
// static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d):
//     d[16 (b * tokens + t) + r] += sum over the run's columns c of code(16 b + r, c) * q[t * q_stride + c]
// where code(r, c) = W(r, c) + C::kOffset.
//
//   kRunTiles<C>   tiles that a run may have, so that nothing overflows (ternary_matmul.h)
//   kBlocks<C>     blocks at once where there is one token; several tokens take them one by one
//   Tokens<C>      TokenSteps of the numbers of tokens at once, falling, the last one 1
template <Isa isa>
struct TernaryTiles;

template <std::size_t... counts>
struct TokenSteps {};

constexpr std::int32_t plane_weight(std::size_t planes, std::size_t plane) {
  return plane + 1 == planes ? 1 : 3 * plane_weight(planes, plane + 1);
}

// Which part of a product is computed at once; the compiler knows how large it is.
template <class C_, std::size_t blocks_, std::size_t tokens_>
struct Part {
  using C = C_;
  static constexpr std::size_t blocks = blocks_;
  static constexpr std::size_t tokens = tokens_;
  static constexpr std::size_t sums = blocks * tokens;  // times 16 rows
  std::size_t block;
  std::size_t token;
};

// -(offset * sum of q over the groups), what the sum of code * q will be too large by.
template <Isa isa, class C>
inline std::int32_t first_dot(const QuantizedView& x, std::size_t token, std::size_t first_group,
                              std::size_t groups) {
  std::int32_t sum = 0;
  for (std::size_t g = 0; g < groups; ++g) sum += x.sums[token * x.sum_stride + first_group + g];
  return -C::kOffset * sum;
}

// Fills d with that.
template <Isa isa, class P>
inline void start_dots(const QuantizedView& x, P part, std::size_t first_group, std::size_t groups,
                       std::int32_t* d) {
  for (std::size_t t = 0; t < P::tokens; ++t) {
    const std::int32_t first = first_dot<isa, typename P::C>(x, part.token + t, first_group, groups);
    for (std::size_t b = 0; b < P::blocks; ++b) {
      std::int32_t* out = d + (b * P::tokens + t) * kTileRows;
      for (std::size_t r = 0; r < kTileRows; ++r) out[r] = first;
    }
  }
}

// d += code * q over the columns of the tiles.
template <Isa isa, class P>
inline void tile_dots(const TernaryView& w, const QuantizedView& x, P part, std::size_t first_tile,
                      std::size_t end_tile, std::int32_t* d) {
  using C = typename P::C;
  constexpr std::size_t step = TernaryTiles<isa>::template kRunTiles<C>;
  const std::size_t block_bytes = w.tiles() * C::kBytes;
  const std::uint8_t* codes = w.codes + part.block * block_bytes;
  const std::int8_t* q = x.q + part.token * x.stride;
  for (std::size_t tile = first_tile; tile < end_tile; tile += step) {
    const std::size_t left = end_tile - tile;
    const TileRun run{codes + tile * C::kBytes, left < step ? left : step, block_bytes};
    TernaryTiles<isa>::template accumulate<C, P::blocks, P::tokens>(run, q + tile * C::kColumns, x.stride, d);
  }
}

// D over all columns.
template <Isa isa, class P>
inline void all_dots(const TernaryView& w, const QuantizedView& x, P part, std::int32_t* d) {
  start_dots<isa>(x, part, 0, round_up(w.columns, kGroupColumns) / kGroupColumns, d);
  tile_dots<isa>(w, x, part, 0, w.tiles(), d);
}

// D over the columns of a group.
template <Isa isa, class P>
inline void group_dots(const TernaryView& w, const QuantizedView& x, P part, std::size_t group,
                       std::int32_t* d) {
  constexpr std::size_t tiles = P::C::kGroupTiles;
  const std::size_t end = (group + 1) * tiles < w.tiles() ? (group + 1) * tiles : w.tiles();
  start_dots<isa>(x, part, group, 1, d);
  tile_dots<isa>(w, x, part, group * tiles, end, d);
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

// The sums of the products and scales in the lanes (row = lane).
template <Isa isa, class P>
inline void scaled_sums(const TernaryView& w, const QuantizedView& x, P part, F32x16<isa>* sums) {
  using F = F32x16<isa>;
  alignas(64) std::int32_t d[P::sums * kTileRows];
  if (w.group == 0) {
    all_dots<isa>(w, x, part, d);
    const F scale = load_scale<isa>(w);
    unrolled<P::sums>([&](auto i) __attribute__((always_inline)) {
      sums[i] = F::zero() + scale * F::load_i32(d + kTileRows * i);
    });
    return;
  }
  unrolled<P::sums>([&](auto i) __attribute__((always_inline)) { sums[i] = F::zero(); });
  for (std::size_t g = 0; g < w.groups(); ++g) {
    group_dots<isa>(w, x, part, g, d);
    unrolled<P::blocks>([&](auto b) __attribute__((always_inline)) {
      const F scale = load_scales<isa>(w, part.block + b, g);
      unrolled<P::tokens>([&](auto t) __attribute__((always_inline)) {
        constexpr std::size_t i = b * P::tokens + t;
        sums[i] = sums[i] + scale * F::load_i32(d + kTileRows * i);
      });
    });
  }
}

// body(Part) for all tokens of `blocks` blocks, as many at once as the steps allow.
template <class C, std::size_t blocks, std::size_t... steps, class Body>
[[gnu::always_inline]] inline void for_tokens(TokenSteps<steps...>, std::size_t tokens, std::size_t block,
                                              Body&& body) {
  std::size_t token = 0;
  const auto step = [&](auto count) __attribute__((always_inline)) {
    for (; token + count <= tokens; token += count) {
      constexpr std::size_t at_once = count == 1 ? blocks : 1;
      for (std::size_t b = 0; b < blocks; b += at_once) body(Part<C, at_once, count>{block + b, token});
    }
  };
  (step(Index<steps>{}), ...);
}

// All tokens of a block, while its codes are in the cache (16 rows x 8640 columns x 3 planes are 104 kB).
template <Isa isa, class C, class Body>
[[gnu::always_inline]] inline void for_each_part(std::size_t tokens, std::size_t block_begin,
                                                 std::size_t block_end, Body&& body) {
  constexpr std::size_t blocks = TernaryTiles<isa>::template kBlocks<C>;
  const typename TernaryTiles<isa>::template Tokens<C> steps;
  std::size_t block = block_begin;
  for (; block + blocks <= block_end; block += blocks) {
    for_tokens<C, blocks>(steps, tokens, block, body);
  }
  for (; block < block_end; ++block) for_tokens<C, 1>(steps, tokens, block, body);
}

// What a block's rows of one token are, to y or d of that token; rows that pad the last block go nowhere.
template <Isa isa>
[[gnu::always_inline]] inline void store_rows(const TernaryView& w, F32x16<isa> result, std::size_t block,
                                              float* y) {
  const std::size_t row = block * kTileRows;
  row + kTileRows <= w.rows ? result.store(y + row) : store_first<isa>(result, y + row, w.rows - row);
}

template <Isa isa>
[[gnu::always_inline]] inline void store_dots(const TernaryView& w, const std::int32_t* sums,
                                              std::size_t block, std::int32_t* d) {
  const std::size_t row = block * kTileRows;
  const std::size_t rows = w.rows - row < kTileRows ? w.rows - row : kTileRows;
  __builtin_memcpy(d + row, sums, rows * sizeof(std::int32_t));
}

// strips.h, for the sets that have kStripBlocks.
template <Isa isa>
concept HasStrips = requires {
  TernaryTiles<isa>::kStripBlocks;
};
template <Isa isa, class C>
void strips_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block_begin,
                   std::size_t block_end, float* y, std::size_t y_stride);
template <Isa isa, class C>
void strips_dot(const TernaryView& w, const QuantizedView& x, std::size_t block_begin, std::size_t block_end,
                std::int32_t* d, std::size_t d_stride);

template <Isa isa>
void ternary_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block_begin,
                    std::size_t block_end, float* y, std::size_t y_stride) {
  using F = F32x16<isa>;
  with_codes(w, [&](auto codes) {
    using C = decltype(codes);
    if constexpr (HasStrips<isa>) {
      if (x.tokens > 1) return strips_matmul<isa, C>(w, x, block_begin, block_end, y, y_stride);
    }
    for_each_part<isa, C>(x.tokens, block_begin, block_end, [&](auto part) {
      using P = decltype(part);
      F sums[P::sums];
      scaled_sums<isa>(w, x, part, sums);
      for (std::size_t i = 0; i < P::sums; ++i) {
        const std::size_t token = part.token + i % P::tokens;
        store_rows<isa>(w, F::broadcast(x.inverse_scale[token]) * sums[i], part.block + i / P::tokens,
                        y + token * y_stride);
      }
    });
  });
}

template <Isa isa>
void ternary_dot(const TernaryView& w, const QuantizedView& x, std::size_t block_begin, std::size_t block_end,
                 std::int32_t* d, std::size_t d_stride) {
  with_codes(w, [&](auto codes) {
    using C = decltype(codes);
    if constexpr (HasStrips<isa>) {
      if (x.tokens > 1) return strips_dot<isa, C>(w, x, block_begin, block_end, d, d_stride);
    }
    for_each_part<isa, C>(x.tokens, block_begin, block_end, [&](auto part) {
      using P = decltype(part);
      alignas(64) std::int32_t sums[P::sums * kTileRows];
      all_dots<isa>(w, x, part, sums);
      for (std::size_t i = 0; i < P::sums; ++i) {
        store_dots<isa>(w, sums + i * kTileRows, part.block + i / P::tokens,
                        d + (part.token + i % P::tokens) * d_stride);
      }
    });
  });
}

}  // namespace sterna::kernels
