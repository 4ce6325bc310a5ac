#include "convert/recover/optimizer.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace sterna::convert {
namespace {

constexpr float kFirstDecay = 0.9F;
constexpr float kSecondDecay = 0.98F;
constexpr float kEpsilon = 1e-8F;
constexpr double kLastFactor = 0.05;

}  // namespace

double rate_factor(std::size_t step, std::size_t steps, std::size_t warm_up) {
  if (step < warm_up) return static_cast<double>(step + 1) / static_cast<double>(warm_up);
  const double done =
      steps <= warm_up ? 0.0 : static_cast<double>(step - warm_up) / static_cast<double>(steps - warm_up);
  return kLastFactor + (1 - kLastFactor) * (1 + std::cos(std::numbers::pi * std::min(done, 1.0))) / 2;
}

void Adam::update(const ParameterMap& map, std::span<const float> gradient, std::size_t step,
                  const AdamRates& rates, std::span<float> values) {
  const double n = static_cast<double>(step + 1);
  const auto first_share = static_cast<float>(1 / (1 - std::pow(double{kFirstDecay}, n)));
  const auto second_share = static_cast<float>(1 / (1 - std::pow(double{kSecondDecay}, n)));
  for (const ParameterMap::Piece& piece : map.pieces()) {
    const float rate = piece.kind == ParameterMap::Kind::gain ? rates.gain : rates.scale;
    for (std::size_t i = piece.begin; i < piece.begin + piece.values->size(); ++i) {
      const float g = gradient[i];
      first[i] = kFirstDecay * first[i] + (1 - kFirstDecay) * g;
      second[i] = kSecondDecay * second[i] + (1 - kSecondDecay) * (g * g);
      values[i] -= rate * (first[i] * first_share) / (std::sqrt(second[i] * second_share) + kEpsilon);
    }
  }
}

}  // namespace sterna::convert
