#include "convert/calibrate/factor.h"

#include <f77blas.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "runtime/blas.h"

namespace sterna::convert {
namespace {

// From the upper triangle of a symmetric matrix to U, upper, with U^T U = a; false if it is not positive
// definite. LAPACK is column-major: its lower triangle is the upper one of our rows, and its L is U^T.
bool cholesky(std::vector<double>& a, std::size_t n) {
  char part[] = "L";
  auto size = static_cast<blasint>(n);
  blasint info = 0;
  dpotrf_(part, &size, a.data(), &size, &info);
  return info == 0;
}

// From that to the inverse, of which the upper triangle is filled.
bool invert(std::vector<double>& a, std::size_t n) {
  char part[] = "L";
  auto size = static_cast<blasint>(n);
  blasint info = 0;
  dpotri_(part, &size, a.data(), &size, &info);
  return info == 0;
}

bool all_finite(const std::vector<double>& a) {
  return std::ranges::all_of(a, [](double x) { return std::isfinite(x); });
}

// Rows and columns in `order`, the upper triangle mirrored.
std::vector<double> permuted(std::span<const float> h, const std::vector<std::uint32_t>& order) {
  const std::size_t n = order.size();
  std::vector<double> out(n * n);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t c = 0; c < n; ++c) out[r * n + c] = static_cast<double>(h[order[r] * n + order[c]]);
  }
  return out;
}

bool try_factor(std::span<const float> h, double added, Factor& f) {
  const std::size_t n = f.columns;
  std::vector<double> a = permuted(h, f.order);
  for (std::size_t i = 0; i < n; ++i) a[i * n + i] += added;
  if (!cholesky(a, n) || !invert(a, n) || !all_finite(a)) return false;
  f.inverse.resize(n * n);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t c = r; c < n; ++c) {
      const auto value = static_cast<float>(a[r * n + c]);
      f.inverse[f.order[r] * n + f.order[c]] = value;
      f.inverse[f.order[c] * n + f.order[r]] = value;
    }
  }
  if (!cholesky(a, n) || !all_finite(a)) return false;
  f.upper.assign(n * n, 0.0F);
  for (std::size_t r = 0; r < n; ++r) {
    for (std::size_t c = r; c < n; ++c) f.upper[r * n + c] = static_cast<float>(a[r * n + c]);
  }
  f.damped.assign(h.begin(), h.end());
  for (std::size_t i = 0; i < n; ++i)
    f.damped[i * n + i] = static_cast<float>(static_cast<double>(h[i * n + i]) + added);
  return true;
}

}  // namespace

Result<Factor> factorise(std::span<const float> h, std::size_t columns, bool act_order, double damping) {
  assert(h.size() == columns * columns && columns > 0);
  runtime::blas::use_one_thread();
  Factor f;
  f.columns = columns;
  f.order.resize(columns);
  std::iota(f.order.begin(), f.order.end(), 0U);
  const auto diagonal = [&](std::uint32_t i) { return h[std::size_t{i} * columns + i]; };
  if (act_order) {
    std::ranges::stable_sort(f.order,
                             [&](std::uint32_t a, std::uint32_t b) { return diagonal(a) > diagonal(b); });
  }
  double mean = 0.0;
  for (std::uint32_t i = 0; i < columns; ++i) mean += static_cast<double>(diagonal(i));
  mean /= static_cast<double>(columns);
  if (!(mean > 0.0)) mean = 1.0 / damping;  // nothing to weigh with: the identity
  for (f.damping = damping; f.damping < 1e6; f.damping *= 10.0) {
    if (try_factor(h, f.damping * mean, f)) return f;
  }
  return fail("a second moment of {} columns cannot be factorised", columns);
}

}  // namespace sterna::convert
