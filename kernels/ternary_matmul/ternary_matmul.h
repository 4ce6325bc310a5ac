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
// Bounds, all with the full int8 range -128 <= q <= 127 and codes T + 1 in {0, 1, 2} (pack.h finds a code
// 3).
//
//  * D, int32: |D| <= 2^20 columns * 13 * 128 < 2^31. Kernels add code * q and begin with -13 * sum of q
//    (4 or 1 times for fewer planes), so on the way a column counts as anything from -13 q to 13 q: the
//    same bound.
//  * AVX2 and AVX-512 (half_shift.h), one token, plane by plane, int16 over one group of 128 columns in two
//    accumulators: a u8 x s8 pair is in [-512, 508], and in [-2048, 2032] where codes are left times 4; a
//    lane takes 2 fields x 8 tiles = 16 pairs, [-8192, 8128] and [-32768, 32512]. Both fit exactly, so a lane
//    is widened once per group (kRunGroups = 1).
//  * The same, several tokens, one accumulator that takes 4 pairs of a tile: codes 0 .. 2, 16 tiles, 64 pairs
//  in
//    [-512, 508], [-32768, 32512]; two planes joined to 0 .. 8, 4 tiles, 16 pairs in [-2048, 2032], the same;
//    three planes joined to 0 .. 26, one tile, 4 pairs in [-6656, 6604], [-26624, 26416].
//  * AVX-VNNI and AVX-512 VNNI (vnni.h), one token, int32: what is left times 64 is at most 128, four
//    products of a tile at most 65,536 in magnitude; a run of 1024 tiles (kRunGroups = 128) at most 2^26.
//    vpdpbusd does not saturate. Several tokens, codes of joined planes: the bound of D.
//  * NEON, plane by plane, int16: a product is in [-256, 254], a lane takes 4 fields x 8 tiles = 32 of
//    them, [-8192, 8128].
//  * NEON with dot products (neon_dot.h, neoni8mm.cc), one token, int32: what is left times 16 is at most 32,
//    four products of a tile at most 16,384, a run at most 2^24. Several tokens: the bound of D. All factors,
//    26 included, are int8.
//  * Scalar, planes joined: a product is in [-3328, 3302], 4 of them are summed in int16; then int32.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

// Rows 16 * block_begin .. min(16 * block_end, w.rows) of every token: y[t * y_stride + r]. Other
// elements of y are not touched, so ranges may run in parallel. Needs x.columns == w.columns, x.stride >=
// round_up(w.columns, 16), block_end <= w.row_blocks(), and y_stride >= w.rows if there are several
// tokens. y need not be aligned.
template <Isa isa>
void ternary_matmul(const TernaryView& w, const QuantizedView& x, std::size_t block_begin,
                    std::size_t block_end, float* y, std::size_t y_stride);

// The integers alone, scales ignored: d[t * d_stride + r] = sum over all columns of W(r, c) * q[t, c].
template <Isa isa>
void ternary_dot(const TernaryView& w, const QuantizedView& x, std::size_t block_begin, std::size_t block_end,
                 std::int32_t* d, std::size_t d_stride);

}  // namespace sterna::kernels
