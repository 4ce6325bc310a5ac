// Which rows of a split int8 matrix can have the largest products with x: an approximation of each product
// and a number that it is certainly not above, from the high five bits of the weights; then, for rows that
// are still in question, from one more bit at a time.
//
// Level 0 knows u of a weight v = 8 u + l - 128 (views.h), level 1 also a, level 2 also b. What is not known
// is replaced by its centre, 3.5, 1.5 or 0.5, so that a remainder e with |e| <= h = 3.5, 1.5 or 0.5 is left
// out:
//
//     center[r] = d (sum over c: (v - e) s q[c])       d = row_scales[r]
//     upper[r]  = center[r] + |d| (norm * bound[r] + rest)
//
// x ~ s q with integers q of 16 bits, s = max|x| / 32512. `upper` is at least the float32 number y that
// dense_matmul computes for the row, as a mathematical inequality, where
// prepare_screen_input() did not refuse x; a center beyond 2^126 has upper = infinity. With z = d sum v x the
// exact product:
//
// 1. |y - z| <= g |d| 128 sum|x|: |v| <= 128, and a product, ceil(n / 16) additions in a lane, 4 in the
//    tree and the scale round by 2^-24 each: g = 1.01 (ceil(n / 16) + 6) 2^-24. An underflow adds less than
//    2^-149.
// 2. x = s q + f: |d sum v f| <= |d| 128 sum|f|.
// 3. |sum e s q| <= peak + norm * bound for every split |s q| = over + under: h sum(over) = peak, and by
//    Cauchy and Schwarz |under| |e| = norm * bound. With under = min(|s q|, t) the best t makes this the
//    largest value that sum e s q can have with |e[c]| <= h and the norm given; a t near the best serves as
//    well.
// 4. Sums of integers are exact. The float center is rounded once in each level, by at most 2^-24 of its
//    size, which is at most |d| 128 s sum|q|; so are its sum with the rest and the final float. Together at
//    most 2^-21 of |d| 128 s sum|q|. Operations in double and the rounding of what is added are covered by a
//    factor of 1 + 2^-20, underflows by 2^-140.
//
// rest = peak + 128 (sum|f| + g sum|x| + 2^-21 s sum|q|).
//
// Nothing overflows: q = 256 hi + lo, both int8, and |sum u hi|, |sum u lo| <= 31 * 128 * 2^16 < 2^28. In
// int16 (without dot product instructions) a lane takes at most 8 products of a chunk: 8 * 31 * 128 = 31744.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/isa.h"
#include "kernels/views.h"

namespace sterna::kernels {

inline constexpr std::size_t kScreenLevels = 3;

// Bytes of ScreenInput::q for rows of this many columns.
[[gnu::always_inline]] constexpr std::size_t screen_input_bytes(std::size_t columns) {
  return round_up(columns, kSplitColumns) * 2;
}

struct ScreenInput {
  const std::int8_t* q = nullptr;  // for each chunk of 128 columns: 128 x hi, 128 x lo; zeros at the end
  std::int64_t sum = 0;            // of q = 256 hi + lo
  double scale = 0;                // s
  double norm[kScreenLevels] = {};
  double rest[kScreenLevels] = {};
};

// The part of a row that the levels share.
struct ScreenRow {
  float scale = 0;  // d
  float bound = 0;  // of the level: SplitView::bounds; not used by level 2, whose remainders are all 0.5
};

// x [columns] as ScreenInput, with q in `q` (screen_input_bytes()). False, and nothing to be used, where the
// inequality would not hold: x not finite, or so large that dense_matmul may overflow.
[[nodiscard]] bool prepare_screen_input(const float* x, std::size_t columns, std::int8_t* q,
                                        ScreenInput& out);

// Level 0 of the rows [begin, end), whose high parts follow each other from `high` on: center and upper of
// row r at [r]. Of w only sizes, scales and bounds are used.
template <Isa isa>
void screen(const SplitView& w, const std::uint8_t* high, const ScreenInput& x, std::size_t begin,
            std::size_t end, float* center, float* upper);

// Level 1 or 2 of one row, from the next one and its plane 0 or 1: center and upper are replaced.
template <Isa isa>
void screen_plane(const std::uint8_t* plane, std::size_t columns, const ScreenInput& x, std::size_t level,
                  ScreenRow row, float* center, float* upper);

}  // namespace sterna::kernels
