#include "kernels/lanes/scalar.h"

#include "kernels/ternary_matmul/generic.h"

namespace sterna::kernels {

// Plain loops in the order of the bytes, which a compiler makes vectors of: byte i of a tile is row i / 4,
// and its field f meets the activation 4f + i % 4, so eight of those repeat along the bytes. Planes are
// joined to one code of 0 .. 3^planes - 1 when a tile is unpacked, once for all tokens. One product is in
// [-128 * 26, 127 * 26]; four of them fit in int16.
template <>
struct TernaryTiles<Isa::scalar> {
  static constexpr std::size_t kRunGroups = 128;
  template <std::size_t planes>
  static constexpr std::size_t kBlocks = 1;
  template <std::size_t planes>
  using Tokens = TokenSteps<4, 1>;

  static constexpr std::size_t kFields = 4;
  using Codes = std::int16_t[kFields][kTileBytes];

  template <std::size_t planes>
  static void unpack(const std::uint8_t* tile, Codes& codes) {
    for (std::size_t f = 0; f < kFields; ++f) {
      for (std::size_t i = 0; i < kTileBytes; ++i) {
        int code = 0;
        for (std::size_t p = 0; p < planes; ++p) code = 3 * code + (tile[p * kTileBytes + i] >> 2 * f & 3);
        codes[f][i] = static_cast<std::int16_t>(code);
      }
    }
  }

  static void multiply(const Codes& codes, const std::int8_t* q, std::int32_t* sums) {
    std::int16_t x[kFields][8];
    for (std::size_t f = 0; f < kFields; ++f) {
      for (std::size_t k = 0; k < 8; ++k) {
        x[f][k] = q[4 * f + k % 4];  // NOLINT(bugprone-signed-char-misuse): a number
      }
    }
    for (std::size_t i = 0; i < kTileBytes; i += 8) {
      for (std::size_t k = 0; k < 8; ++k) {
        int products = 0;
        for (std::size_t f = 0; f < kFields; ++f) {
          products =
              static_cast<std::int16_t>(products + static_cast<std::int16_t>(codes[f][i + k] * x[f][k]));
        }
        sums[i + k] += products;
      }
    }
  }

  template <std::size_t planes, std::size_t blocks, std::size_t tokens>
  static void accumulate(const TileRun& run, const std::int8_t* q, std::size_t q_stride, std::int32_t* d) {
    std::int32_t sums[tokens][kTileBytes] = {};
    for (std::size_t tile = 0; tile < run.tiles; ++tile) {
      Codes codes;
      unpack<planes>(run.codes + tile * planes * kTileBytes, codes);
      for (std::size_t t = 0; t < tokens; ++t)
        multiply(codes, q + t * q_stride + tile * kTileColumns, sums[t]);
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
