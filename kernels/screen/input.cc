#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/screen/screen.h"

namespace sterna::kernels {
namespace {

constexpr double kLargest = 32512;  // 127 * 256: hi is at most 127

// |q| by size, four classes to a power of two: where to cut it for the bound of step 3, without sorting.
class Sizes {
 public:
  void add(std::int64_t size) {
    Class& c = classes_[index(size)];
    ++c.count;
    c.sum += size;
    c.squares += size * size;
  }

  // The least h sum(over) + |under| bound, in units of s, for a bound of h * root(n * share).
  struct Cut {
    double peak;
    double norm;
  };
  [[nodiscard]] Cut best(double h, double bound) const {
    std::int64_t squares = 0;
    for (const Class& c : classes_) squares += c.squares;
    std::int64_t above = 0;
    std::int64_t count = 0;
    Cut best{0, std::sqrt(static_cast<double>(squares))};
    for (std::size_t i = classes_.size(); i-- > 0;) {
      const Class& c = classes_[i];
      if (c.count == 0) continue;
      // t: a size in the class below; all that is in this one and above is larger.
      squares -= c.squares;
      above += c.sum;
      count += c.count;
      const std::int64_t t = lower_end(i);
      const auto over = static_cast<double>(above - count * t);
      const auto under = static_cast<double>(squares + count * t * t);
      const Cut cut{h * over, std::sqrt(under)};
      if (cut.peak + cut.norm * bound < best.peak + best.norm * bound) best = cut;
    }
    return best;
  }

 private:
  struct Class {
    std::int64_t count = 0;
    std::int64_t sum = 0;
    std::int64_t squares = 0;
  };
  static std::size_t index(std::int64_t size) {
    const auto n = static_cast<std::uint32_t>(size);
    if (n < 4) return n;
    const auto top = static_cast<unsigned>(std::bit_width(n)) - 3;
    return 4 * top + (n >> top);
  }
  static std::int64_t lower_end(std::size_t index) {
    if (index < 8) return static_cast<std::int64_t>(index);
    return static_cast<std::int64_t>((index % 4 + 4) << (index / 4 - 1));
  }
  std::array<Class, 64> classes_{};
};

}  // namespace

bool prepare_screen_input(const float* x, std::size_t columns, std::int8_t* q, ScreenInput& out) {
  double largest = 0;
  double magnitude = 0;
  for (std::size_t c = 0; c < columns; ++c) {
    const double size = std::fabs(x[c]);
    largest = std::max(largest, size);
    magnitude += size;
  }
  // 128 sum|x| bounds every partial sum; FLT_MAX is 3.4e38. The comparison fails for NaN, too.
  if (!(magnitude * 128 < 1e38)) return false;
  std::memset(q, 0, screen_input_bytes(columns));
  const double scale = largest / kLargest;
  const double inverse = largest > 0 ? kLargest / largest : 0;
  Sizes sizes;
  double lost = 0;
  std::int64_t total = 0;
  std::int64_t sum = 0;
  for (std::size_t c = 0; c < columns; ++c) {
    const auto n = static_cast<std::int64_t>(std::nearbyint(x[c] * inverse));
    lost += std::fabs(x[c] - scale * static_cast<double>(n));
    const std::int64_t size = n < 0 ? -n : n;
    sizes.add(size);
    total += size;
    sum += n;
    const std::int64_t hi = (n + 128) >> 8;
    std::int8_t* chunk = q + c / kSplitColumns * 2 * kSplitColumns + c % kSplitColumns;
    chunk[0] = static_cast<std::int8_t>(hi);
    chunk[kSplitColumns] = static_cast<std::int8_t>(n - 256 * hi);
  }
  const auto n = static_cast<double>(columns);
  const std::size_t additions = (columns + 15) / 16;
  const double roundings = 1.01 * (static_cast<double>(additions) + 6) * 0x1p-24;
  // Sums in double: 2^16 terms, each rounding by 2^-53 of at most `magnitude`.
  const double constant =
      128 * (lost + magnitude * (roundings + 0x1p-36) + 0x1p-21 * scale * static_cast<double>(total));
  out.q = q;
  out.sum = sum;
  out.scale = scale;
  // Level 2 leaves +-0.5 of every weight: half the sum of |x| is its bound, of which no row knows better.
  constexpr double kHalf[] = {3.5, 1.5};
  constexpr double kSquare[] = {5.25, 1.25};  // of a remainder that is evenly distributed
  for (std::size_t level = 0; level < 2; ++level) {
    const Sizes::Cut cut = sizes.best(kHalf[level], std::sqrt(kSquare[level] * n));
    out.norm[level] = scale * cut.norm;
    out.rest[level] = scale * cut.peak + constant;
  }
  out.norm[2] = 0;
  out.rest[2] = scale * 0.5 * static_cast<double>(total) + constant;
  return true;
}

}  // namespace sterna::kernels
