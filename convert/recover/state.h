// What a run of the tuning must remember to go on after it was killed, as one file with a checksum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "convert/recover/optimizer.h"
#include "runtime/result.h"

namespace sterna::convert {

struct RecoverState {
  std::uint64_t step = 0;   // done
  std::uint64_t steps = 0;  // in all; 0: not fixed yet
  double seconds = 0;       // spent
  double step_seconds = 0;  // of these, on the steps from the second on
  static constexpr std::uint64_t kNever = UINT64_MAX;
  std::uint64_t measured = kNever;  // the step after which the held-out windows were measured last
  double start_loss = 0;            // on these windows
  double held_out_loss = 0;         // when last measured
  double best_loss = 0;
  std::uint64_t best_step = 0;  // 0: the start
  std::vector<float> values;    // as ParameterMap has them
  std::vector<float> best;
  Adam adam;

  explicit RecoverState(std::size_t parameters) : values(parameters), best(parameters), adam(parameters) {}
};

// fingerprint: of everything that the run depends on. Written beside `path` and renamed.
Status save_state(const std::string& path, std::uint32_t fingerprint, const RecoverState& state);

// The state that lies at `path`. Errors: damaged, or of another run; the message says to remove it.
Result<RecoverState> load_state(const std::string& path, std::uint32_t fingerprint, std::size_t parameters);

}  // namespace sterna::convert
