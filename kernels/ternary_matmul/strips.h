// Products of several tokens where splitting codes into fields costs what products cost (x86): a strip of
// some columns of one or two blocks is split once, to memory that stays in the first-level cache, and
// multiplied with all tokens.
#pragma once

#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

inline constexpr std::size_t kStripFields = 128;  // of 64 bytes: 8 KB a block
inline constexpr std::size_t kStripTokens = 128;  // sums of 8 KB a block

template <std::size_t blocks>
struct alignas(64) Strip {
  std::uint8_t fields[blocks][kStripFields][kTileBytes];
};

// What TernaryTiles<isa> provides for strips:
//   kStripBlocks       blocks at once
//   StripTokens        TokenSteps of the tokens at once
//   split_tile<C>(tile, fields)    its codes, C::kFields times kTileBytes bytes
//   kWidenFields<C>    fields whose products an accumulator holds
//   multiply_strip<kWidenFields, blocks, tokens>(fields, count, q, q_stride, d):
//       d[16 (blocks * t + b) + r] += sum over the columns c of `count` fields of
//                                     code(16 b + r, c) * q[t * q_stride + c]
//     where the fields of block b are those of a Strip.

// Some of the tokens, at most kStripTokens.
struct StripTokensView {
  std::size_t first;
  std::size_t count;
  std::int32_t first_dots[kStripTokens];  // over all columns

  template <Isa isa, class C>
  [[gnu::always_inline]] static StripTokensView from(const QuantizedView& x, std::size_t first) {
    StripTokensView view;
    view.first = first;
    view.count = x.tokens - first < kStripTokens ? x.tokens - first : kStripTokens;
    for (std::size_t t = 0; t < view.count; ++t) {
      view.first_dots[t] =
          first_dot<isa, C>(x, first + t, 0, round_up(x.columns, kGroupColumns) / kGroupColumns);
    }
    return view;
  }
};

// d of some tokens (layout of multiply_strip) over some tiles, from the first dots on.
template <Isa isa, class C, std::size_t blocks>
void strip_dots(const TernaryView& w, const QuantizedView& x, std::size_t block, const StripTokensView& some,
                const std::int32_t* first_dots, std::size_t first_tile, std::size_t end_tile,
                std::int32_t* d) {
  using Tiles = TernaryTiles<isa>;
  constexpr std::size_t strip_tiles = kStripFields / C::kFields;
  for (std::size_t t = 0; t < some.count; ++t) {
    for (std::size_t r = 0; r < blocks * kTileRows; ++r) d[t * blocks * kTileRows + r] = first_dots[t];
  }
  const std::size_t block_bytes = w.tiles() * C::kBytes;
  Strip<blocks> strip;
  for (std::size_t first = first_tile; first < end_tile; first += strip_tiles) {
    const std::size_t tiles = end_tile - first < strip_tiles ? end_tile - first : strip_tiles;
    for (std::size_t b = 0; b < blocks; ++b) {
      const std::uint8_t* codes = w.codes + (block + b) * block_bytes + first * C::kBytes;
      for (std::size_t i = 0; i < tiles; ++i, codes += C::kBytes) {
        unrolled<C::kBytes / kTileBytes>([&](auto n) __attribute__((always_inline)) {
          prefetch(codes + blocks * block_bytes + n * kTileBytes);
        });
        Tiles::template split_tile<C>(codes, strip.fields[b][i * C::kFields]);
      }
    }
    const std::int8_t* q = x.q + some.first * x.stride + first * C::kColumns;
    std::size_t t = 0;
    const auto step = [&](auto count) __attribute__((always_inline)) {
      for (; t + count <= some.count; t += count) {
        Tiles::template multiply_strip<Tiles::template kWidenFields<C>, blocks, count>(
            strip.fields[0][0], tiles * C::kFields, q + t * x.stride, x.stride, d + t * blocks * kTileRows);
      }
    };
    [&]<std::size_t... counts>(TokenSteps<counts...>) __attribute__((always_inline)) {
      (step(Index<counts>{}), ...);
    }
    (typename Tiles::StripTokens{});
  }
}

// body(Index<blocks>, block) for all blocks.
template <Isa isa, class Body>
[[gnu::always_inline]] inline void for_strip_blocks(std::size_t begin, std::size_t end, Body&& body) {
  constexpr std::size_t at_once = TernaryTiles<isa>::kStripBlocks;
  for (; begin + at_once <= end; begin += at_once) body(Index<at_once>{}, begin);
  for (; begin < end; ++begin) body(Index<1>{}, begin);
}

// The sums over groups for some tokens, and y.
template <Isa isa, class C, std::size_t blocks>
void strip_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block,
                  const StripTokensView& some, float* y, std::size_t y_stride) {
  using F = F32x16<isa>;
  alignas(64) std::int32_t d[kStripTokens * blocks * kTileRows];
  alignas(64) float sums[kStripTokens * blocks * kTileRows];
  std::int32_t of_group[kStripTokens];
  const std::size_t step = w.group == 0 ? w.tiles() : C::kGroupTiles;
  for (std::size_t g = 0; g < w.groups(); ++g) {
    if (w.group != 0) {
      for (std::size_t t = 0; t < some.count; ++t) of_group[t] = first_dot<isa, C>(x, some.first + t, g, 1);
    }
    const std::size_t end = (g + 1) * step < w.tiles() ? (g + 1) * step : w.tiles();
    strip_dots<isa, C, blocks>(w, x, block, some, w.group == 0 ? some.first_dots : of_group, g * step, end,
                               d);
    for (std::size_t b = 0; b < blocks; ++b) {
      const F scale = w.group == 0 ? load_scale<isa>(w) : load_scales<isa>(w, block + b, g);
      for (std::size_t t = 0; t < some.count; ++t) {
        const std::size_t at = (t * blocks + b) * kTileRows;
        const F before = g == 0 ? F::zero() : F::load(sums + at);
        (before + scale * F::load_i32(d + at)).store(sums + at);
      }
    }
  }
  for (std::size_t t = 0; t < some.count; ++t) {
    const F factor = F::broadcast(x.inverse_scale[some.first + t]);
    for (std::size_t b = 0; b < blocks; ++b) {
      store_rows<isa>(w, factor * F::load(sums + (t * blocks + b) * kTileRows), block + b,
                      y + (some.first + t) * y_stride);
    }
  }
}

template <Isa isa, class C>
void strips_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block_begin,
                   std::size_t block_end, float* y, std::size_t y_stride) {
  for (std::size_t token = 0; token < x.tokens; token += kStripTokens) {
    const auto some = StripTokensView::from<isa, C>(x, token);
    for_strip_blocks<isa>(block_begin, block_end, [&](auto blocks, std::size_t block) {
      strip_matmul<isa, C, blocks>(w, x, block, some, y, y_stride);
    });
  }
}

template <Isa isa, class C>
void strips_dot(const TernaryView& w, const QuantizedView& x, std::size_t block_begin, std::size_t block_end,
                std::int32_t* d, std::size_t d_stride) {
  for (std::size_t token = 0; token < x.tokens; token += kStripTokens) {
    const auto some = StripTokensView::from<isa, C>(x, token);
    for_strip_blocks<isa>(block_begin, block_end, [&](auto blocks, std::size_t block) {
      alignas(64) std::int32_t sums[kStripTokens * blocks * kTileRows];
      strip_dots<isa, C, blocks>(w, x, block, some, some.first_dots, 0, w.tiles(), sums);
      for (std::size_t i = 0; i < some.count * blocks; ++i) {
        store_dots<isa>(w, sums + i * kTileRows, block + i % blocks, d + (token + i / blocks) * d_stride);
      }
    });
  }
}

}  // namespace sterna::kernels
