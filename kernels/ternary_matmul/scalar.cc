#include "kernels/lanes/scalar.h"

#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

// Plain loops in the order of the bytes, which a compiler makes vectors of: byte i of a tile is row i / 4,
// and its field f meets the activation 4f + i % 4, so eight of those repeat along the bytes. Planes are
// joined to one code of 0 .. 3^planes - 1 when a tile is unpacked, once for all tokens. One product is in
// [-128 * 26, 127 * 26]; eight of them fit in int16.
template <>
struct TernaryTiles<Isa::scalar> {
  template <class C>
  static constexpr std::size_t kRunTiles = 1024;
  template <class C>
  static constexpr std::size_t kBlocks = 1;
  template <class C>
  using Tokens = TokenSteps<4, 1>;

  template <class C>
  using Fields = std::int16_t[C::kFields][kTileBytes];

  template <class C>
  static void unpack(const std::uint8_t* tile, Fields<C>& codes) {
    unrolled<C::kFields>([&](auto f) __attribute__((always_inline)) {
      for (std::size_t i = 0; i < kTileBytes; ++i) {
        codes[f][i] = static_cast<std::int16_t>(code_at<C>(tile, f, i));
      }
    });
  }

  template <class C>
  static void multiply(const Fields<C>& codes, const std::int8_t* q, std::int32_t* sums) {
    std::int16_t x[C::kFields][8];
    for (std::size_t f = 0; f < C::kFields; ++f) {
      for (std::size_t k = 0; k < 8; ++k) x[f][k] = q[4 * f + k % 4];
    }
    for (std::size_t i = 0; i < kTileBytes; i += 8) {
      for (std::size_t k = 0; k < 8; ++k) {
        int products = 0;
        for (std::size_t f = 0; f < C::kFields; ++f) {
          products =
              static_cast<std::int16_t>(products + static_cast<std::int16_t>(codes[f][i + k] * x[f][k]));
        }
        sums[i + k] += products;
      }
    }
  }

  template <class C, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    std::int32_t sums[tokens][kTileBytes] = {};
    for (std::size_t tile = 0; tile < run.tiles; ++tile) {
      Fields<C> codes;
      unpack<C>(run.codes + tile * C::kBytes, codes);
      for (std::size_t t = 0; t < tokens; ++t)
        multiply<C>(codes, q + t * q_stride + tile * C::kColumns, sums[t]);
    }
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t i = 0; i < kTileBytes; ++i) d[t * kTileRows + i / 4] += sums[t][i];
    }
  }
};

template void ternary_matmul<Isa::scalar>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                          float*, std::size_t);
template void ternary_dot<Isa::scalar>(const TernaryView&, const QuantizedView&, std::size_t, std::size_t,
                                       std::int32_t*, std::size_t);

}  // namespace sterna::kernels
