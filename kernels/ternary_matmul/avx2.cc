#include "kernels/lanes/avx2.h"

#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

// Half-shift, plane by plane: masks 0x03 and 0x0C on the codes and on the codes >> 4. What 0x0C selects
// is four times its code and has accumulators of its own, divided by 4 (exactly) when widened. 8 rows x
// 16 columns take 1 shift and 4 ands, and per token 4 maddubs, 4 adds and 4 broadcasts, which loads do
// without a vector unit.
// Joined planes, for several tokens: two or three planes become one code of 0 .. 8 or 0 .. 26 (18 or 37
// operations), which then costs what one plane does. For one token that is no gain.
template <>
struct TernaryTiles<Isa::avx2> {
  static constexpr std::size_t kHalfRows = 8;
  static constexpr std::size_t kHalfBytes = 32;

  struct Sums {    // int16
    __m256i even;  // the columns 0-3 and 8-11 of each tile
    __m256i odd;   // the columns 4-7 and 12-15; with half-shift 4 times their products
  };

  static __m256i load(const std::uint8_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }

  static __m256i broadcast4(const std::int8_t* q) {
    std::int32_t four = 0;
    __builtin_memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
  }

  static __m256i widen(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

  template <std::int32_t weight>
  static void add_to(std::int32_t* d, __m256i x) {  // d[0 .. 8) += weight * x
    if constexpr (weight == 3) x = _mm256_add_epi32(x, _mm256_slli_epi32(x, 1));
    if constexpr (weight == 9) x = _mm256_add_epi32(x, _mm256_slli_epi32(x, 3));
    auto* out = reinterpret_cast<__m256i*>(d);
    _mm256_storeu_si256(out, _mm256_add_epi32(_mm256_loadu_si256(out), x));
  }

  // sums += codes of one half tile, field by field, times the activations of its columns
  static void multiply(const __m256i (&fields)[4], const std::int8_t* q, Sums& sums) {
    unrolled<2>([&](auto i) __attribute__((always_inline)) {
      sums.even = _mm256_add_epi16(sums.even, _mm256_maddubs_epi16(fields[2 * i], broadcast4(q + 8 * i)));
      sums.odd =
          _mm256_add_epi16(sums.odd, _mm256_maddubs_epi16(fields[2 * i + 1], broadcast4(q + 8 * i + 4)));
    });
  }

  static void split_half_shift(__m256i codes, __m256i (&fields)[4]) {
    const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0C);
    const __m256i upper = _mm256_srli_epi16(codes, 4);
    fields[0] = _mm256_and_si256(codes, low);
    fields[1] = _mm256_and_si256(codes, high);
    fields[2] = _mm256_and_si256(upper, low);
    fields[3] = _mm256_and_si256(upper, high);
  }

  static __m256i times3_plus(__m256i x, __m256i y) {
    return _mm256_add_epi8(_mm256_add_epi8(x, x), _mm256_add_epi8(x, y));
  }

  // Two planes join in nibbles (at most 8, so nothing carries), a third one in bytes.
  template <std::size_t planes>
  static void split_joined(const std::uint8_t* tile, __m256i (&fields)[4]) {
    const __m256i pairs = _mm256_set1_epi8(0x33);
    const __m256i nibble = _mm256_set1_epi8(0x0F);
    const __m256i first = load(tile), second = load(tile + kTileBytes);
    const __m256i even = times3_plus(_mm256_and_si256(first, pairs), _mm256_and_si256(second, pairs));
    const __m256i odd = times3_plus(_mm256_and_si256(_mm256_srli_epi16(first, 2), pairs),
                                    _mm256_and_si256(_mm256_srli_epi16(second, 2), pairs));
    fields[0] = _mm256_and_si256(even, nibble);
    fields[1] = _mm256_and_si256(odd, nibble);
    fields[2] = _mm256_and_si256(_mm256_srli_epi16(even, 4), nibble);
    fields[3] = _mm256_and_si256(_mm256_srli_epi16(odd, 4), nibble);
    if constexpr (planes == 3) {
      const __m256i third = load(tile + 2 * kTileBytes);
      const __m256i code = _mm256_set1_epi8(0x03);
      unrolled<4>([&](auto f) __attribute__((always_inline)) {
        fields[f] = times3_plus(fields[f], _mm256_and_si256(_mm256_srli_epi16(third, 2 * f), code));
      });
    }
  }

  // One token and plane: both halves of the tile.
  template <std::int32_t weight>
  static void run_plane(TileRun run, std::size_t tile_stride, const std::int8_t* q, std::int32_t* d) {
    Sums sums[2] = {};
    for (std::size_t i = 0; i < run.tiles; ++i) {
      unrolled<2>([&](auto half) __attribute__((always_inline)) {
        __m256i fields[4];
        split_half_shift(load(run.codes + i * tile_stride + half * kHalfBytes), fields);
        multiply(fields, q + i * kTileColumns, sums[half]);
      });
    }
    unrolled<2>([&](auto half) {
      const __m256i odd = _mm256_srai_epi32(widen(sums[half].odd), 2);
      add_to<weight>(d + half * kHalfRows, _mm256_add_epi32(widen(sums[half].even), odd));
    });
  }

  // Several tokens: one half of the tile, its codes split once, the tokens' accumulators in registers.
  template <std::size_t planes, std::size_t tokens>
  static void run_half(TileRun run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    Sums sums[tokens] = {};
    __m256i totals[tokens] = {};  // three planes only
    for (std::size_t i = 0; i < run.tiles; ++i) {
      const std::uint8_t* tile = run.codes + i * planes * kTileBytes;
      __m256i fields[4];
      if constexpr (planes == 1) split_half_shift(load(tile), fields);
      if constexpr (planes != 1) split_joined<planes>(tile, fields);
      unrolled<tokens>([&](auto t) __attribute__((always_inline)) {
        Sums tile_sums = {};
        multiply(fields, q + t * q_stride + i * kTileColumns, planes == 3 ? tile_sums : sums[t]);
        if constexpr (planes == 3) {
          totals[t] = _mm256_add_epi32(totals[t], widen(_mm256_add_epi16(tile_sums.even, tile_sums.odd)));
        }
      });
    }
    unrolled<tokens>([&](auto t) {
      if constexpr (planes != 3) {
        const __m256i odd = _mm256_srai_epi32(widen(sums[t].odd), planes == 1 ? 2 : 0);
        totals[t] = _mm256_add_epi32(widen(sums[t].even), odd);
      }
      add_to<1>(d + t * kTileRows, totals[t]);
    });
  }

  template <std::size_t planes, std::size_t tokens>
  static void accumulate(TileRun run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    if constexpr (tokens == 1) {
      unrolled<planes>([&](auto plane) {
        run_plane<plane_weight(planes, plane)>({run.codes + plane * kTileBytes, run.tiles},
                                               planes * kTileBytes, q, d);
      });
    } else {
      run_half<planes, tokens>(run, q, q_stride, d);
      run_half<planes, tokens>({run.codes + kHalfBytes, run.tiles}, q, q_stride, d + kHalfRows);
    }
  }
};

template void ternary_matmul<Isa::avx2>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                        float*, std::size_t);
template void ternary_dot<Isa::avx2>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                     std::int32_t*, std::size_t);

}  // namespace sterna::kernels
