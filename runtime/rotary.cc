#include "runtime/rotary.h"

#include <cmath>
#include <numbers>

namespace sterna::runtime {

// transformers computes theta^(2i/d) and its inverse in float32; so do we,
// or long contexts would drift apart by position * 2^-24. llama3: Meta's rule as transformers has it
// (modeling_rope_utils).
void fill_rotary_frequencies(const ModelConfig& config, std::span<float> out) {
  const RopeConfig& rope = config.rope;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(config.head_dim);
    float f = 1.0F / static_cast<float>(std::pow(rope.theta, static_cast<double>(exponent)));
    const auto factor = static_cast<float>(rope.factor);
    if (rope.scaling == RopeScaling::linear) f /= factor;
    if (rope.scaling == RopeScaling::llama3) {
      const auto original = static_cast<float>(rope.original_context);
      const auto low = static_cast<float>(rope.low_frequency_factor);
      const auto high = static_cast<float>(rope.high_frequency_factor);
      const float wavelength = 2.0F * std::numbers::pi_v<float> / f;
      if (wavelength > original / low) {
        f /= factor;
      } else if (wavelength >= original / high) {
        const float smooth = (original / wavelength - low) / (high - low);
        f = (1.0F - smooth) * f / factor + smooth * f;
      }
    }
    out[i] = f;
  }
}

void fill_rotary_row(std::span<const float> frequencies, std::size_t position, float* cos, float* sin) {
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const float angle = static_cast<float>(position) * frequencies[i];
    cos[i] = static_cast<float>(std::cos(static_cast<double>(angle)));
    sin[i] = static_cast<float>(std::sin(static_cast<double>(angle)));
  }
}

}  // namespace sterna::runtime
