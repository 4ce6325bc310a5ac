// Adam (Kingma and Ba 2015) with a warm-up and a cosine: the arithmetic of the tuning, without a model.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "convert/recover/tunable.h"

namespace sterna::convert {

// The factor of all step sizes in step `step` (from 0) of `steps`:
//     (step + 1) / warm_up                                       before warm_up
//     0.05 + 0.95 (1 + cos(pi (step - warm_up) / (steps - warm_up))) / 2    from there on
// so that the first steps do not depend on how many there will be.
double rate_factor(std::size_t step, std::size_t steps, std::size_t warm_up);

struct AdamRates {
  float scale = 0;  // step size of the logarithms of scales
  float gain = 0;   // and of gains
};

class Adam {
 public:
  explicit Adam(std::size_t parameters) : first(parameters), second(parameters) {}

  // values -= rate m' / (sqrt(v') + 1e-8), m and v decaying by 0.9 and 0.98, m' and v' without the bias of
  // their start. step: from 0.
  void update(const ParameterMap& map, std::span<const float> gradient, std::size_t step,
              const AdamRates& rates, std::span<float> values);

  std::vector<float> first, second;  // m and v
};

}  // namespace sterna::convert
