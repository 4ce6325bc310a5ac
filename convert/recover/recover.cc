#include "convert/recover/recover.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <utility>
#include <vector>

#include "convert/recover/optimizer.h"
#include "convert/recover/pass.h"
#include "convert/recover/state.h"
#include "convert/shuffle.h"
#include "runtime/format.h"

namespace sterna::convert {
namespace {

// Steps before it is settled how many there will be; the first, which also fetches memory, is not timed.
constexpr std::size_t kTimedSteps = 3;
// How often the held-out windows are measured unless the options say so: ten times, but not more often than
// every five steps.
constexpr std::size_t kLeastInterval = 5;
constexpr std::size_t kMeasurements = 10;
// A machine that got slower is allowed this much over the limit before the run ends early.
constexpr double kPatience = 1.2;

class Fingerprint {
 public:
  template <class T>
  void add(const T& value) {
    crc_ = runtime::crc32_of(std::as_bytes(std::span(&value, 1)), crc_);
  }
  template <class T>
  void add_all(std::span<const T> values) {
    add(values.size());
    crc_ = runtime::crc32_of(std::as_bytes(values), crc_);
  }
  [[nodiscard]] std::uint32_t value() const { return crc_; }

 private:
  std::uint32_t crc_ = 0;
};

class Tuner {
 public:
  Tuner(TunableModel& model, const TextWindows& text, const Teacher* teacher, const RecoverOptions& options,
        const kernels::Kernels& kernels, runtime::ThreadPool& pool,
        const std::function<void(const RecoverProgress&)>& progress, const std::function<bool()>& cancelled)
      : model_(model),
        text_(text),
        teacher_(teacher),
        options_(options),
        progress_(progress),
        map_(model),
        state_(map_.size()),
        gradient_(map_.size()),
        states_(teacher == nullptr ? 0 : std::max(options.batch, options.held_out) * window_floats()),
        pass_(model, text.tokens, teacher == nullptr ? std::span<const float>{} : teacher->head, kernels,
              pool, cancelled) {
    training_ = text.count() - options.held_out;
    held_out_.resize(options.held_out);
    std::iota(held_out_.begin(), held_out_.end(), training_);
  }

  Result<RecoverReport> run() {
    const Status status = tune();
    map_.apply(status ? state_.best : map_.start_values());
    if (!status) return status.error();
    return RecoverReport{state_.step, state_.best_step, state_.start_loss, state_.best_loss, state_.seconds};
  }

 private:
  using Clock = std::chrono::steady_clock;

  Status tune();
  Status begin();
  Status step();
  Status measure();
  // The state so far is kept if there is a file for it.
  Status save() const {
    return options_.state.empty() ? Status{} : save_state(options_.state, fingerprint_, state_);
  }
  Error interrupted();
  Result<std::vector<Sample>> samples(std::span<const std::size_t> windows);
  [[nodiscard]] std::vector<std::size_t> batch(std::size_t step) const;
  [[nodiscard]] std::uint32_t fingerprint() const;
  [[nodiscard]] std::size_t measure_every() const {
    return options_.measure_every != 0 ? options_.measure_every
                                       : std::max(kLeastInterval, state_.steps / kMeasurements);
  }
  [[nodiscard]] std::size_t window_floats() const { return text_.tokens * model_.config.hidden; }
  void settle_steps();
  void count_time();
  void report() const {
    if (progress_)
      progress_({state_.step, state_.steps, state_.seconds, loss_, state_.held_out_loss, state_.measured});
  }

  TunableModel& model_;
  const TextWindows& text_;
  const Teacher* teacher_;
  const RecoverOptions& options_;
  const std::function<void(const RecoverProgress&)>& progress_;
  ParameterMap map_;
  RecoverState state_;
  std::vector<float> gradient_;
  std::vector<float> states_;  // of the teacher, for the windows of a batch
  ModelPass pass_;
  std::vector<std::size_t> held_out_;  // windows; those in front of them are trained on
  std::size_t training_ = 0;
  Clock::time_point counted_ = Clock::now();  // up to here time is in state_.seconds
  double measure_seconds_ = 0;                // of the last measurement
  double loss_ = 0;
  std::uint32_t fingerprint_ = 0;
};

std::uint32_t Tuner::fingerprint() const {
  Fingerprint f;
  f.add(options_.minutes);
  f.add(options_.steps);
  f.add(options_.batch);
  f.add(options_.held_out);
  f.add(options_.measure_every);
  f.add(options_.warm_up);
  f.add(options_.scale_rate);
  f.add(options_.gain_rate);
  f.add(options_.seed);
  f.add(text_.tokens);
  f.add_all(text_.ids);
  f.add_all(map_.start());
  f.add_all(model_.embedding);
  f.add_all(model_.head);
  f.add(teacher_ != nullptr);
  for (const TunableBlock& block : model_.blocks) {
    for (const LevelMatrix& levels : block.levels) f.add_all(std::span<const std::int8_t>(levels.levels));
  }
  return f.value();
}

void Tuner::count_time() {
  const Clock::time_point now = Clock::now();
  state_.seconds += std::chrono::duration<double>(now - counted_).count();
  counted_ = now;
}

Error Tuner::interrupted() {
  count_time();
  const bool keep = !options_.state.empty() && state_.measured != RecoverState::kNever;
  if (!keep) return fail("interrupted after {} steps", state_.step);
  if (const Status saved = save(); !saved) return saved.error();
  return fail("interrupted after {} steps; the same command goes on from there", state_.step);
}

Result<std::vector<Sample>> Tuner::samples(std::span<const std::size_t> windows) {
  std::vector<Sample> result;
  result.reserve(windows.size());
  for (const std::size_t window : windows) {
    std::span<float> states;
    if (teacher_ != nullptr) {
      states = std::span(states_).subspan(result.size() * window_floats(), window_floats());
      STERNA_CHECK(teacher_->states(window, states));
    }
    result.push_back({text_.window(window), states});
  }
  return result;
}

// Windows of a step: the training windows in a new order for every round through them.
std::vector<std::size_t> Tuner::batch(std::size_t step) const {
  std::vector<std::size_t> windows;
  windows.reserve(options_.batch);
  std::vector<std::size_t> order;
  for (std::size_t i = step * options_.batch; i < (step + 1) * options_.batch; ++i) {
    const std::size_t at = i % training_;
    if (order.empty() || at == 0) order = shuffled(training_, options_.seed + i / training_);
    windows.push_back(order[at]);
  }
  return windows;
}

Status Tuner::measure() {
  STERNA_TRY(const std::vector<Sample> windows, samples(held_out_));
  const Clock::time_point begin = Clock::now();
  const std::optional<double> loss = pass_.loss(windows);
  if (!loss) return interrupted();
  measure_seconds_ = std::chrono::duration<double>(Clock::now() - begin).count();
  state_.held_out_loss = *loss;
  state_.measured = state_.step;
  count_time();
  if (state_.step == 0) state_.start_loss = *loss;
  if (state_.step == 0 || *loss < state_.best_loss) {
    state_.best_loss = *loss;
    state_.best_step = state_.step;
    state_.best = state_.values;
  }
  return {};
}

// How many steps fit into what is left of the time, measurements included.
void Tuner::settle_steps() {
  const double one = state_.step_seconds / static_cast<double>(kTimedSteps - 1);
  const double left = options_.minutes * 60 - state_.seconds - measure_seconds_;
  const auto every =
      static_cast<double>(options_.measure_every != 0 ? options_.measure_every : kLeastInterval);
  double more = left / (one + measure_seconds_ / every);
  if (options_.measure_every == 0)  // or, where that are more steps, with kMeasurements of them
    more = std::max(more, (left - measure_seconds_ * double{kMeasurements}) / one);
  more = std::max(more, 0.0);
  state_.steps = kTimedSteps + static_cast<std::size_t>(std::min(more, 1e9));
  if (options_.steps != 0) state_.steps = std::min<std::size_t>(state_.steps, options_.steps);
}

Status Tuner::step() {
  STERNA_TRY(const std::vector<Sample> windows, samples(batch(state_.step)));
  const Clock::time_point begin = Clock::now();
  const std::optional<double> loss = pass_.gradient(windows, map_, gradient_);
  if (!loss) return interrupted();
  loss_ = *loss;
  const auto factor = static_cast<float>(rate_factor(state_.step, state_.steps, options_.warm_up));
  state_.adam.update(map_, gradient_, state_.step,
                     {options_.scale_rate * factor, options_.gain_rate * factor}, state_.values);
  map_.apply(state_.values);
  if (state_.step > 0 && state_.step < kTimedSteps)
    state_.step_seconds += std::chrono::duration<double>(Clock::now() - begin).count();
  ++state_.step;
  count_time();
  if (state_.steps == 0 && state_.step >= kTimedSteps) settle_steps();
  const bool late = options_.minutes > 0 && state_.seconds > kPatience * options_.minutes * 60;
  if (late || !std::isfinite(loss_)) state_.steps = state_.step;  // the best so far is what is left to return
  return {};
}

Status Tuner::begin() {
  state_.values = map_.start_values();
  state_.steps = options_.minutes > 0 ? 0 : options_.steps;
  if (options_.state.empty()) return {};
  fingerprint_ = fingerprint();
  if (!std::filesystem::exists(options_.state)) return {};
  STERNA_TRY(state_, load_state(options_.state, fingerprint_, map_.size()));
  map_.apply(state_.values);
  return {};
}

Status Tuner::tune() {
  STERNA_CHECK(begin());
  while (true) {
    const bool last = state_.steps != 0 && state_.step >= state_.steps;
    if (state_.measured != state_.step && (last || state_.step % measure_every() == 0)) {
      STERNA_CHECK(measure());
      STERNA_CHECK(save());
    }
    report();
    if (last) return {};
    STERNA_CHECK(step());
  }
}

}  // namespace

Result<RecoverReport> recover(TunableModel& model, const TextWindows& text, const Teacher* teacher,
                              const RecoverOptions& options, const kernels::Kernels& kernels,
                              runtime::ThreadPool& pool,
                              const std::function<void(const RecoverProgress&)>& progress,
                              const std::function<bool()>& cancelled) {
  assert(options.minutes > 0 || options.steps > 0);
  assert(options.batch > 0 && options.held_out > 0 && text.tokens >= 2);
  if (text.count() <= options.held_out) {
    return fail(
        "the calibration text has {} windows of {} tokens, and more than the {} that are held out are "
        "needed; give more text",
        text.count(), text.tokens, options.held_out);
  }
  return Tuner(model, text, teacher, options, kernels, pool, progress, cancelled).run();
}

}  // namespace sterna::convert
