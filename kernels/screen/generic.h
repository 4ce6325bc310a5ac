#pragma once

#include "kernels/lanes/lanes.h"
#include "kernels/screen/screen.h"
#include "kernels/split_row/codes.h"

namespace sterna::kernels {

// totals of LaneOps + u * x over a chunk of 128 columns; u are the vectors of SplitCodes with values 0 .. 31.
// This is the form of sets with dot products of int8; others have their own.
template <Isa isa>
struct ScreenOps {
  using Codes = SplitCodes<isa>;
  using Ops = LaneOps<isa>;
  [[gnu::always_inline]] static typename Ops::Totals multiply(
      typename Ops::Totals totals, const typename Codes::Bytes (&u)[Codes::kVectors], const std::int8_t* x) {
    static_assert(Codes::kBytes == Ops::kBytes);
    unrolled<Codes::kVectors>([&](auto i) __attribute__((always_inline)) {
      totals = Ops::add_products(totals, reinterpret_cast<typename Ops::Bytes>(u[i]), x + i * Ops::kBytes);
    });
    return totals;
  }
};

template <Isa isa>
[[gnu::always_inline]] inline float screen_upper(float center, const ScreenInput& x, std::size_t level,
                                                 ScreenRow row) {
  // Beyond the range of floats nothing can be said; NaN comes here as well.
  if (!(__builtin_fabsf(center) <= 0x1p126F)) return __builtin_inff();
  const double size = __builtin_fabs(static_cast<double>(row.scale));
  const double bound = size * (static_cast<double>(row.bound) * x.norm[level] + x.rest[level]);
  return static_cast<float>(static_cast<double>(center) + (bound * (1 + 0x1p-20) + 0x1p-140));
}

// sums: of products with hi and with lo.
[[gnu::always_inline]] inline std::int64_t screen_total(const std::int32_t* sums) {
  return std::int64_t{256} * sums[0] + sums[1];
}

template <Isa isa>
void screen(const SplitView& w, const std::uint8_t* high, const ScreenInput& x, std::size_t begin,
            std::size_t end, float* center, float* upper) {
  using Codes = SplitCodes<isa>;
  using Ops = LaneOps<isa>;
  const std::size_t chunks = w.chunks();
  const std::size_t row_bytes = w.high_row_bytes();
  for (std::size_t row = begin; row < end; row += 2) {
    const std::size_t rows = end - row < 2 ? 1 : 2;
    const std::uint8_t* first = high + (row - begin) * row_bytes;
    typename Ops::Totals totals[4];  // hi and lo of a row, hi and lo of the next one
    unrolled<4>([&](auto i) __attribute__((always_inline)) { totals[i] = Ops::first_totals(0); });
    for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
      const std::int8_t* q = x.q + chunk * 2 * kSplitColumns;
      unrolled<2>([&](auto r) __attribute__((always_inline)) {
        const std::uint8_t* of_row = first + (r < rows ? r * row_bytes : 0);
        prefetch_ahead(of_row + chunk * 64);
        if (chunk % 4 == 0) prefetch_ahead(of_row + chunks * 64 + chunk * kPlaneChunk);
        typename Codes::Bytes u[Codes::kVectors];
        Codes::high(of_row + chunk * 64, of_row + chunks * 64 + chunk * kPlaneChunk, u);
        totals[2 * r] = ScreenOps<isa>::multiply(totals[2 * r], u, q);
        totals[2 * r + 1] = ScreenOps<isa>::multiply(totals[2 * r + 1], u, q + kSplitColumns);
      });
    }
    std::int32_t sums[4];
    Ops::store_totals(totals, sums);
    for (std::size_t r = 0; r < rows; ++r) {
      const ScreenRow of{w.row_scales[row + r], w.bounds[row + r]};
      // 8 u - 124.5 = v - e; twice that is an integer.
      const std::int64_t twice = 16 * screen_total(sums + 2 * r) - 249 * x.sum;
      center[row + r] =
          static_cast<float>(static_cast<double>(of.scale) * (x.scale * (0.5 * static_cast<double>(twice))));
      upper[row + r] = screen_upper<isa>(center[row + r], x, 0, of);
    }
  }
}

template <Isa isa>
void screen_plane(const std::uint8_t* plane, std::size_t columns, const ScreenInput& x, std::size_t level,
                  ScreenRow row, float* center, float* upper) {
  using Codes = SplitCodes<isa>;
  using Ops = LaneOps<isa>;
  const std::size_t chunks = round_up(columns, kSplitColumns) / kSplitColumns;
  typename Ops::Totals totals[4];
  unrolled<4>([&](auto i) __attribute__((always_inline)) { totals[i] = Ops::first_totals(0); });
  for (std::size_t chunk = 0; chunk < chunks; ++chunk) {
    const auto bits = SplitOps<isa>::repeat(plane + chunk * kPlaneChunk);
    typename Codes::Bytes sixteenths[Codes::kVectors];
    unrolled<Codes::kVectors>([&](auto i) __attribute__((always_inline)) {
      sixteenths[i] = reinterpret_cast<typename Codes::Bytes>(Codes::template bit<i>(bits));
    });
    const std::int8_t* q = x.q + chunk * 2 * kSplitColumns;
    totals[0] = ScreenOps<isa>::multiply(totals[0], sixteenths, q);
    totals[1] = ScreenOps<isa>::multiply(totals[1], sixteenths, q + kSplitColumns);
  }
  std::int32_t sums[4];
  Ops::store_totals(totals, sums);
  // A bit of level 1 moves the centre by +-2, one of level 2 by +-1; the sums are of 16 times the bits.
  const std::int64_t sixteen = screen_total(sums) - 8 * x.sum;
  const double weight = level == 1 ? 0.25 : 0.125;
  const double moved = static_cast<double>(row.scale) * (x.scale * (weight * static_cast<double>(sixteen)));
  *center = static_cast<float>(static_cast<double>(*center) + moved);
  *upper = screen_upper<isa>(*center, x, level, row);
}

}  // namespace sterna::kernels
