// Recovery: with the trits of a quantised model frozen, its group scales and norm gains are tuned by gradient
// descent until its logits are as near as they get to the float model's (or, without one, until it predicts
// the text). Adam on the divergence of the logits, scales as logarithms; EfficientQAT's second phase (Chen et
// al. 2024) with a teacher. Costs about 8 operations per weight and token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "convert/recover/teacher.h"
#include "convert/recover/tunable.h"
#include "kernels/registry.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::convert {

struct RecoverOptions {
  double minutes = 0;  // what the tuning may take; 0: steps decide. The first steps are timed, and then it is
                       // settled how many there will be
  std::size_t steps = 0;     // at most; 0: the minutes decide
  std::size_t batch = 2;     // windows of one step; at most so many threads have work
  std::size_t held_out = 4;  // the last windows, which are not trained on and decide which step was the best
  std::size_t measure_every = 0;  // steps; 0: the larger of 5 and a tenth of all
  std::size_t warm_up = 5;        // steps
  float scale_rate = 1e-2F;       // Adam's step size for the logarithm of a scale
  float gain_rate = 5e-3F;        // and for a gain
  std::uint64_t seed = 1;         // the order of the windows
  std::string state;  // file for the state of the run, empty: none. If it is there, the run goes on from it;
                      // it is for the caller to remove. Written with every measurement and when cancelled
};

struct RecoverProgress {
  std::size_t step = 0;   // done
  std::size_t steps = 0;  // of so many; 0: not settled
  double seconds = 0;     // spent, earlier parts of a resumed run included
  double loss = 0;        // of the last batch, before its step; nats per token
  double held_out = 0;    // when last measured, which was after so many steps:
  std::size_t measured = 0;
};

struct RecoverReport {
  std::size_t steps = 0;
  std::size_t best_step = 0;  // 0: no step was better than the start
  double start_loss = 0;      // on the held-out windows; nats per token
  double best_loss = 0;       // <= start_loss
  double seconds = 0;
};

// The best parameters by the held-out windows, the start among them, are in the model when this returns,
// scales rounded as its file will hold them (those were measured); on an error the model is as it was, but
// for that rounding. For a given number of steps the result has the same bits at any number of threads, and
// whether or not it was interrupted. teacher: none for the likelihood of the text. Each window of the text is
// used once before any is used again. Errors: a text of too few windows, the teacher's, a state that does not
// fit or cannot be written, cancelled (which is asked before every block).
Result<RecoverReport> recover(TunableModel& model, const TextWindows& text, const Teacher* teacher,
                              const RecoverOptions& options, const kernels::Kernels& kernels,
                              runtime::ThreadPool& pool,
                              const std::function<void(const RecoverProgress&)>& progress,
                              const std::function<bool()>& cancelled);

}  // namespace sterna::convert
