// Where the time of a forward pass goes: seconds per step and layer, on the clock of the calling thread,
// waiting for the other threads included.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sterna::runtime {

// norm and activation are all that happens to an input of linears, the first residual of a block and the
// quantisation included; only norms that linears have of their own count as part of the product.
enum class Step : std::uint8_t { embed, norm, qkv, rope, attention, o, gate_up, activation, down, add, head };
inline constexpr std::array<const char*, 11> kStepNames = {
    "embedding", "norms, int8",      "q, k, v", "RoPE and cache", "attention", "o",
    "gate, up",  "activation, int8", "down",    "residual",       "head"};

// Steps that are products of a weight matrix; the rest is what an engine adds to them.
constexpr bool is_product(Step step) {
  return step == Step::qkv || step == Step::o || step == Step::gate_up || step == Step::down ||
         step == Step::head;
}

struct Profile {
  using Seconds = std::array<double, kStepNames.size()>;
  explicit Profile(std::size_t layer_count) : layers(layer_count) {}
  std::vector<Seconds> layers;
  Seconds outside{};  // embedding, final norm and head

  [[nodiscard]] double total(Step step) const {
    double sum = outside[static_cast<std::size_t>(step)];
    for (const Seconds& layer : layers) sum += layer[static_cast<std::size_t>(step)];
    return sum;
  }
};

// Adds the time of its life to a profile; does nothing without one.
class StepTimer {
 public:
  StepTimer(Profile* profile, Step step)
      : StepTimer(profile == nullptr ? nullptr : &profile->outside, step) {}
  StepTimer(Profile* profile, Step step, std::size_t layer)
      : StepTimer(profile == nullptr ? nullptr : &profile->layers[layer], step) {}
  ~StepTimer() {
    if (to_ != nullptr) *to_ += std::chrono::duration<double>(Clock::now() - start_).count();
  }
  StepTimer(const StepTimer&) = delete;
  StepTimer& operator=(const StepTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  StepTimer(Profile::Seconds* seconds, Step step)
      : to_(seconds == nullptr ? nullptr : &(*seconds)[static_cast<std::size_t>(step)]) {
    if (to_ != nullptr) start_ = Clock::now();
  }
  double* to_;
  Clock::time_point start_;
};

}  // namespace sterna::runtime
