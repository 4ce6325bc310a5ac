// Ternary weights times int8 activations.
//
//     y[t, r] = inverse_scale[t] * (sum over the groups g, ascending: scale(r, g) * float(D(t, r, g)))
//     D(t, r, g) = sum over the columns c of group g: W(r, c) * q[t, c]          exact, int32
//     W(r, c) = 3^(P-1) T1 + ... + T_P,  T in {-1, 0, 1}                          |W| <= 13
//
// With group == 0 there is one D over all columns and one scale. Floats: acc = 0; acc = acc + scale *
// float(D) for each group; y = inverse_scale * acc; each operation rounds by itself. int32 -> float
// rounds to nearest even.
//
// Bounds, all with the full int8 range -128 <= q <= 127 and codes that pack.h's has_invalid_code() passes.
// "Pair": two u8 x s8 products in int16.
//
//  * D, int32: |D| <= 2^20 columns * 13 * 128 < 2^31. Kernels add code * q and begin with -13 * sum of q
//    (4 or 1 times for fewer planes), so on the way a column counts as anything from -13 q to 13 q: the
//    same bound.
//  * AVX2 and AVX-512 (half_shift.h), one token, int16 over a run of tiles (kRunTiles), then int32:
//      two bits   a pair is in [-512, 508], and in [-2048, 2032] where codes are left times 4; a lane takes
//                 2 fields x 8 tiles = 16 pairs, [-8192, 8128] and [-32768, 32512]: both fit exactly
//      base3      4 times: 16 tiles, a pair each, [-32768, 32512]; 3 times: 16 of [-1536, 1524]; once:
//                 3 x 16 of [-512, 508]
//      pairs      codes to 8, a pair in [-2048, 2032], 2 registers x 8 tiles in each of two sums: exactly
//      triples    codes to 26, a pair in [-6656, 6604], 4 of them in each of two sums, then int32
//  * The same, several tokens, one sum: codes 0 .. 2, 64 pairs in [-512, 508]: [-32768, 32512]; codes to 8,
//    16 pairs in [-2048, 2032]: the same; codes to 26, 4 pairs: [-26624, 26416].
//  * AVX-VNNI and AVX-512 VNNI, one token, int32, runs of 1024 tiles (vpdpbusd does not saturate): what is
//    left times 128 and below, four products of it at most 65,536 in magnitude: 2^26; base3's 81 times:
//    162 * 128 * 4 < 2^17, 2^27 in a run; pairs' and triples' 16 times: 128 * 128 * 4 = 2^16, at most four of
//    them in a tile, 2^28. Several tokens, joined codes: the bound of D.
//  * NEON, plane by plane, int16: a product is in [-256, 254], a lane takes 4 fields x 8 tiles = 32 of them,
//    [-8192, 8128]; base3: 5 x 25 of them, [-32000, 31750]; pairs: 4 x 8 of [-1024, 1016], exactly; triples:
//    8 of [-3328, 3302].
//  * NEON with dot products (neon_dot.h, neoni8mm.cc), one token, int32: what is left times 16 is at most 32,
//    four products of a tile at most 16,384, a run at most 2^24. Joined codes: the bound of D. All factors,
//    26 included, are int8.
//  * Scalar, planes joined: a product is in [-3328, 3302], at most 8 of them are summed in int16; then int32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

// Rows 16 * block_begin .. min(16 * block_end, w.rows) of every token: y[t * y_stride + r]. Other
// elements of y are not touched, so ranges may run in parallel. Needs x.columns == w.columns, x.stride >=
// w.tiles() * tile_columns(w.form) (padded_columns() is enough for all forms), block_end <= w.row_blocks(),
// and y_stride >= w.rows if there are several tokens. y need not be aligned.
template <Isa isa>
void ternary_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block_begin,
                    std::size_t block_end, float* y, std::size_t y_stride);

// The integers alone, scales ignored: d[t * d_stride + r] = sum over all columns of W(r, c) * q[t, c].
template <Isa isa>
void ternary_dot(const TernaryView& w, const QuantizedView& x, std::size_t block_begin, std::size_t block_end,
                 std::int32_t* d, std::size_t d_stride);

}  // namespace sterna::kernels
