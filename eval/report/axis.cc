#include "eval/report/axis.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace sterna::eval::report {
namespace {

// 1, 2 or 5 times a power of ten, not below `step`.
double round_up(double step) {
  const double power = std::pow(10.0, std::floor(std::log10(step)));
  const double digit = step / power;
  // A step of 2.0000000001 is 2.
  constexpr double kSlack = 1 + 1e-9;
  if (digit <= kSlack) return power;
  if (digit <= 2 * kSlack) return 2 * power;
  return digit <= 5 * kSlack ? 5 * power : 10 * power;
}

std::string label_of(double value, double step) {
  const double size = std::abs(value);
  if (size != 0 && (size >= 1e6 || size < 1e-4)) return fmt::format("{:.3g}", value);
  const int decimals = std::clamp(-static_cast<int>(std::floor(std::log10(step) + 1e-9)), 0, 6);
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace

Axis::Axis(Scale scale, double low, double high, Span pixels, int ticks)
    : scale_(scale), low_(low), high_(high), pixels_(pixels) {
  assert(std::isfinite(low) && std::isfinite(high) && low <= high && (scale == Scale::kLinear || low > 0));
  if (scale == Scale::kLog) {
    const double room = low == high ? std::log(1.5) : 0.05 * std::log(high / low);
    low_ = low * std::exp(-room);
    high_ = high * std::exp(room);
    log_ticks(ticks);
  } else {
    const double width = high - low;
    const double room = width > 0 ? 0.05 * width : std::max(0.1 * std::abs(low), 1e-3);
    low_ = low - room;
    high_ = high + room;
    linear_ticks(ticks);
  }
}

double Axis::at(double value) const {
  const double bounded = std::clamp(value, low_, high_);
  const double share = scale_ == Scale::kLog ? std::log(bounded / low_) / std::log(high_ / low_)
                                             : (bounded - low_) / (high_ - low_);
  return pixels_.low + share * (pixels_.high - pixels_.low);
}

bool Axis::shows(double value) const {
  const double slack = 1e-9 * (high_ - low_);
  return value >= low_ - slack && value <= high_ + slack;
}

void Axis::set_ticks(std::vector<Tick> ticks) {
  std::erase_if(ticks, [this](const Tick& tick) { return !shows(tick.value); });
  ticks_ = std::move(ticks);
}

void Axis::linear_ticks(int wanted) {
  const double step = round_up((high_ - low_) / std::max(wanted, 1));
  std::vector<Tick> ticks;
  for (double k = std::ceil(low_ / step - 1e-9); k * step <= high_ + 1e-9 * step; ++k) {
    const double value = k == 0 ? 0 : k * step;
    ticks.push_back({value, label_of(value, step)});
  }
  ticks_ = std::move(ticks);
}

// Powers of ten where these are enough, else 1, 2 and 5 of each decade, else a linear axis' ticks.
void Axis::log_ticks(int wanted) {
  const double decades = std::log10(high_ / low_);
  const int every = std::max(1, static_cast<int>(std::ceil(decades / std::max(wanted, 1))));
  std::vector<Tick> ticks;
  const int last = static_cast<int>(std::floor(std::log10(high_)));
  for (int power = static_cast<int>(std::floor(std::log10(low_))); power <= last; ++power) {
    for (const int digit : {1, 2, 5}) {
      if (digit > 1 && 2 * decades > wanted) continue;
      if (power % every != 0) continue;
      const double value = digit * std::pow(10.0, power);
      if (value >= low_ && value <= high_) ticks.push_back({value, label_of(value, std::pow(10.0, power))});
    }
  }
  if (ticks.size() >= 3) {
    ticks_ = std::move(ticks);
  } else {
    linear_ticks(wanted);
  }
}

}  // namespace sterna::eval::report
