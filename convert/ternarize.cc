#include "convert/ternarize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "kernels/views.h"

namespace sterna::convert {
namespace {

using kernels::kGroupColumns;
using kernels::ScaleType;

// Adding and subtracting 1.5 * 2^52 (2^23) rounds to an integer, ties to even, for |x| < 2^51 (2^22); unlike
// nearbyint() it is vectorised on every machine.
double round_even(double x) { return (x + 0x1.8p52) - 0x1.8p52; }
float round_even(float x) { return (x + 0x1.8p23F) - 0x1.8p23F; }

// Finds the best step of one group. For given levels k the best step is S1 / S2 with S1 = sum k a, S2 = sum
// k^2, a = |w|, and leaves the error sum a^2 - S1^2 / S2. The best levels for a step d are k = round(a / d),
// at most K. As d falls from infinity, a[i] goes from level j to j + 1 at d = a[i] / (j + 1/2): walking
// through these breakpoints visits every k that is nearest for some d, so the largest S1^2 / S2 among them is
// the global optimum.
//
// K times 128 breakpoints would have to be sorted; an upper bound E on the least error shows that most lie
// where the optimum cannot be: a large d maps too many small weights to 0, a small d clips too many large
// ones.
class StepSearch {
 public:
  StepSearch(std::span<const float> group, int max_level) : max_level_(max_level) {
    float largest = 0.0F;
    for (const float w : group) largest = std::max(largest, std::abs(w));
    if (largest == 0.0F) return;
    // A power of two brings the group to [0, 2), exactly, so that neither subnormals nor overflow matter
    // below.
    exponent_ = std::ilogb(largest);
    for (const float w : group) {
      if (w != 0.0F) a_[n_++] = std::scalbn(static_cast<double>(std::abs(w)), -exponent_);
    }
    largest_ = std::scalbn(static_cast<double>(largest), -exponent_);
    squares_ = sum([](double a) { return a * a; });
  }

  float best() {
    if (n_ == 0) return 0.0F;
    bound_range();
    collect();
    sort_events();
    return static_cast<float>(std::scalbn(sweep(), exponent_));
  }

 private:
  // Sums term(a) over the group in four independent sums, which compilers may keep in vector registers.
  template <class Term>
  [[nodiscard]] double sum(const Term& term) const {
    std::array<double, 4> sums{};
    for (std::size_t i = 0; i < n_; i += 4) {
      for (std::size_t lane = 0; lane < 4; ++lane) sums[lane] += term(a_[i + lane]);
    }
    return sums[0] + sums[1] + (sums[2] + sums[3]);
  }

  // The error that remains when the levels are nearest for d and the step is then refitted.
  [[nodiscard]] double error_near(double d) const {
    const double inverse = 1.0 / d;
    const auto limit = static_cast<double>(max_level_);
    const auto level = [=](double a) { return round_even(std::min(a * inverse, limit)); };
    const double s1 = sum([=](double a) { return level(a) * a; });
    const double s2 = sum([=](double a) { return level(a) * level(a); });
    return s2 > 0.0 ? squares_ - s1 * s1 / s2 : squares_;
  }

  // The error of the weights that are beyond max_level * d; falls with d.
  [[nodiscard]] double clipped(double d) const {
    const double limit = max_level_ * d;
    return sum([=](double a) {
      const double over = std::max(0.0, a - limit);
      return over * over;
    });
  }

  // The error of the weights that d maps to 0; rises with d.
  [[nodiscard]] double lost(double d) const {
    return sum(
        [=](double a) { return a * a * static_cast<double>(2.0 * a < d); });  // no branch to mispredict
  }

  // Sets low_ < high_, between which (inclusive) the best step lies.
  void bound_range() {
    // The optimal steps of a normal distribution, in units of its deviation: where most groups' optimum is
    // near.
    const double normal = max_level_ == 1 ? 1.2210 : max_level_ == 4 ? 0.535 : 0.2175;
    const double start = normal * std::sqrt(squares_ / static_cast<double>(n_));
    double least = squares_;
    for (const double factor : {0.8, 0.9, 1.0, 1.1, 1.25})
      least = std::min(least, error_near(start * factor));
    // d = largest / K clips nothing; it bounds groups that are far from normal.
    least = std::min(least, error_near(largest_ / max_level_));
    const double bound = std::max(least, 0.0) + 1e-9 * squares_;  // far above the rounding of these sums

    // Ten halvings: clipped(low_) and lost(high_) stay above the bound, so that nothing outside can be the
    // optimum.
    high_ = 2.001 * largest_;
    double below = 0.0;
    double above = high_;
    for (int i = 0; i < 10; ++i) {
      const double middle = 0.5 * (low_ + above);
      (clipped(middle) > bound ? low_ : above) = middle;
      const double upper = 0.5 * (below + high_);
      (lost(upper) > bound ? high_ : below) = upper;
    }
  }

  // The levels at high_, and the breakpoints in [low_, high_].
  void collect() {
    std::array<double, 13> inverse{};
    for (int j = 0; j < max_level_; ++j) inverse[static_cast<std::size_t>(j)] = 1.0 / (j + 0.5);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < static_cast<std::size_t>(max_level_); ++j) {
        const double at = a_[i] * inverse[j];
        if (at < low_) break;
        if (at > high_) {
          s1_ += a_[i];
          s2_ += static_cast<double>(2 * j + 1);
          continue;
        }
        // A positive float's bits are ordered as its value; complemented, so that the largest comes first.
        const std::uint64_t key = ~std::bit_cast<std::uint32_t>(static_cast<float>(at));
        events_[event_count_++] = (key & 0xFFFFFFFFU) << 32 | i << 4 | j;
      }
    }
  }

  // Buckets of equal width, then insertion: the breakpoints are spread evenly enough that this halves the
  // time of the whole search against std::sort.
  void sort_events() {
    constexpr std::size_t kBuckets = 256;
    const double scale = (kBuckets - 1) / std::max(high_ - low_, 1e-30);
    std::array<std::uint16_t, kBuckets + 1> begins{};
    std::array<std::uint8_t, 13 * kGroupColumns> buckets;
    for (std::size_t e = 0; e < event_count_; ++e) {
      const auto at = std::bit_cast<float>(static_cast<std::uint32_t>(~(events_[e] >> 32)));
      buckets[e] = static_cast<std::uint8_t>(
          std::clamp((high_ - static_cast<double>(at)) * scale, 0.0, kBuckets - 1.0));
      ++begins[buckets[e] + 1U];
    }
    for (std::size_t b = 0; b < kBuckets; ++b)
      begins[b + 1] = static_cast<std::uint16_t>(begins[b + 1] + begins[b]);
    for (std::size_t e = 0; e < event_count_; ++e) sorted_[begins[buckets[e]]++] = events_[e];
    for (std::size_t e = 1; e < event_count_; ++e) {
      const std::uint64_t event = sorted_[e];
      std::size_t to = e;
      for (; to > 0 && sorted_[to - 1] > event; --to) sorted_[to] = sorted_[to - 1];
      sorted_[to] = event;
    }
  }

  [[nodiscard]] double sweep() {
    double best1 = s1_;
    double best2 = s2_;
    for (std::size_t e = 0; e < event_count_; ++e) {
      const std::uint64_t event = sorted_[e];
      s1_ += a_[event >> 4 & 0x7FU];
      s2_ += static_cast<double>(2 * (event & 0xFU) + 1);
      if (s1_ * s1_ * best2 > best1 * best1 * s2_ || best2 == 0.0) {
        best1 = s1_;
        best2 = s2_;
      }
    }
    return best2 > 0.0 ? best1 / best2 : 0.0;
  }

  int max_level_;
  int exponent_ = 0;
  std::size_t n_ = 0;
  std::array<double, kGroupColumns> a_{};  // magnitudes that are not 0, then zeros
  double largest_ = 0.0;
  double squares_ = 0.0;
  double low_ = 0.0;
  double high_ = 0.0;
  double s1_ = 0.0;
  double s2_ = 0.0;
  std::size_t event_count_ = 0;
  std::array<std::uint64_t, 13 * kGroupColumns> events_;  // key, index of a (7 bits), level (4 bits)
  std::array<std::uint64_t, 13 * kGroupColumns> sorted_;
};

// Calls body(index of the group in the matrix, its part of `values`, where that begins) for the groups of a
// block.
template <class Body>
void for_each_group(std::size_t first_row, std::size_t columns, std::span<const float> values,
                    const Body& body) {
  const std::size_t groups = kernels::round_up(columns, kGroupColumns) / kGroupColumns;
  for (std::size_t row = 0; row < values.size() / columns; ++row) {
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t at = row * columns + g * kGroupColumns;
      const std::size_t n = std::min(kGroupColumns, columns - g * kGroupColumns);
      body((first_row + row) * groups + g, values.subspan(at, n), at);
    }
  }
}

double squared_error(std::span<const float> group, float step, std::span<const std::int8_t> k) {
  double sum = 0.0;
  for (std::size_t i = 0; i < group.size(); ++i) {
    const double difference = static_cast<double>(group[i]) - static_cast<double>(step) * k[i];
    sum += difference * difference;
  }
  return sum;
}

}  // namespace

float best_step(std::span<const float> group, int max_level) {
  assert(!group.empty() && group.size() <= kGroupColumns &&
         (max_level == 1 || max_level == 4 || max_level == 13));
  return StepSearch(group, max_level).best();
}

void nearest_levels(std::span<const float> group, float step, int max_level, std::span<std::int8_t> k) {
  assert(k.size() == group.size());
  if (step == 0.0F) return std::fill(k.begin(), k.end(), std::int8_t{0});
  const auto limit = static_cast<float>(max_level);
  for (std::size_t i = 0; i < group.size(); ++i) {
    k[i] = static_cast<std::int8_t>(round_even(std::clamp(group[i] / step, -limit, limit)));
  }
}

Result<Ternarized> ternarize(const MatrixSource& source, std::size_t planes, runtime::ThreadPool& pool) {
  assert(planes >= 1 && planes <= kernels::kMaxPlanes);
  const int level = max_level(planes);
  const std::size_t groups = kernels::round_up(source.columns, kGroupColumns) / kGroupColumns;
  std::vector<float> steps(source.rows * groups);
  STERNA_CHECK(for_each_block(source, pool, [&](std::size_t row, std::span<const float> values) -> Status {
    for_each_group(row, source.columns, values,
                   [&](std::size_t i, std::span<const float> group, std::size_t) {
                     steps[i] = best_step(group, level);
                   });
    return {};
  }));
  const ScaleType type = std::all_of(steps.begin(), steps.end(), near_f16) ? ScaleType::f16 : ScaleType::f32;

  // A second reading, which is cheap beside the search, instead of floats for the whole matrix.
  Ternarized result;
  result.matrix = PackedMatrix::zeros(source.rows, source.columns, planes, kGroupColumns, type);
  std::vector<double> errors(
      steps.size());  // per group, so that their sum does not depend on the number of threads
  std::vector<double> norms(steps.size());
  STERNA_CHECK(for_each_block(source, pool, [&](std::size_t row, std::span<const float> values) -> Status {
    std::vector<std::int8_t> k(values.size());
    for_each_group(row, source.columns, values,
                   [&](std::size_t i, std::span<const float> group, std::size_t at) {
                     const float step = stored_scale(steps[i], type);
                     const std::span<std::int8_t> levels = std::span(k).subspan(at, group.size());
                     nearest_levels(group, step, level, levels);
                     result.matrix.set_scale(i / groups, i % groups, step);
                     errors[i] = squared_error(group, step, levels);
                     for (const float w : group) norms[i] += static_cast<double>(w) * w;
                   });
    result.matrix.set_block(row, k);
    return {};
  }));
  const double norm = std::accumulate(norms.begin(), norms.end(), 0.0);
  if (norm > 0.0)
    result.relative_error = std::sqrt(std::accumulate(errors.begin(), errors.end(), 0.0) / norm);
  return result;
}

}  // namespace sterna::convert
