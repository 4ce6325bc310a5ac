// A scale from values to a picture's coordinates, and round numbers to write beside it.
#pragma once

#include <string>
#include <vector>

namespace sterna::eval::report {

struct Tick {
  double value = 0;
  std::string label;
};

enum class Scale { kLinear, kLog };

// The coordinates at which `low` and `high` lie; they may descend, as those of a vertical axis do.
struct Span {
  double low = 0;
  double high = 0;
};

class Axis {
 public:
  // Shows at least [low, high], a twentieth more on either side, about `ticks` ticks at 1, 2 or 5 times a
  // power of ten (1, 10, 100 over many decades). A log axis needs low > 0. An empty interval is widened.
  Axis(Scale scale, double low, double high, Span pixels, int ticks);

  // Values beyond the ends stay at the ends.
  [[nodiscard]] double at(double value) const;
  [[nodiscard]] const std::vector<Tick>& ticks() const { return ticks_; }
  [[nodiscard]] double low() const { return low_; }
  [[nodiscard]] double high() const { return high_; }
  [[nodiscard]] Span pixels() const { return pixels_; }

  // The same scale with these ticks; those outside are dropped.
  void set_ticks(std::vector<Tick> ticks);

 private:
  void linear_ticks(int wanted);
  void log_ticks(int wanted);
  [[nodiscard]] bool shows(double value) const;

  Scale scale_;
  double low_;
  double high_;
  Span pixels_;
  std::vector<Tick> ticks_;
};

}  // namespace sterna::eval::report
