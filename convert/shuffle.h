// A permutation that is the same everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace sterna::convert {

// Of 0..n-1, by Fisher and Yates with the standard's generator: distributions and std::shuffle differ between
// libraries. (The modulo favours no index by more than n / 2^64.)
inline std::vector<std::size_t> shuffled(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

}  // namespace sterna::convert
