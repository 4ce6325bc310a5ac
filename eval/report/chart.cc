#include "eval/report/chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optional>

#include "eval/report/text.h"

namespace sterna::eval::report {
namespace {

constexpr double kLegendRow = 19;
constexpr double kLegendMark = 16;  // a mark and the space behind it
constexpr double kLegendGap = 14;
constexpr std::size_t kLegendName = 40;  // cells

double entry_width(const LegendEntry& entry) {
  return kLegendMark + text_width(shortened(entry.name, kLegendName)) + kLegendGap;
}

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a.right, b.right) - std::max(a.left, b.left);
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  return width > 0 && height > 0 ? width * height : 0;
}

double area(const Box& box) { return (box.right - box.left) * (box.bottom - box.top); }

// A name's place: to the right of its anchor, to its left or around it.
struct Place {
  Point base;  // of the text
  Anchor anchor = Anchor::kStart;
  Box box;
  Point tip;  // where a leader would end
  double distance = 0;
};

Place place_at(Point point, double angle, double distance, double width) {
  constexpr double kMark = 6;
  const double dx = std::cos(angle);
  const double dy = std::sin(angle);
  Place place;
  place.distance = distance;
  place.tip = {point.x + dx * (kMark + distance), point.y + dy * (kMark + distance)};
  const double gap = 2;
  double left = 0;
  if (dx > 0.3) {
    place.anchor = Anchor::kStart;
    left = place.base.x = place.tip.x + gap;
  } else if (dx < -0.3) {
    place.anchor = Anchor::kEnd;
    place.base.x = place.tip.x - gap;
    left = place.base.x - width;
  } else {
    place.anchor = Anchor::kMiddle;
    place.base.x = place.tip.x;
    left = place.base.x - width / 2;
  }
  // The middle of the letters lies at the tip's height, above it or below it.
  const double middle = place.tip.y + (std::abs(dx) > 0.3 ? 0 : dy * kTextHeight / 2);
  place.base.y = middle + 4;
  place.box = {left, middle - kTextHeight / 2, left + width, middle + kTextHeight / 2};
  return place;
}

class Namer {
 public:
  Namer(const std::vector<NamedPoint>& points, const Box& box) : box_(box) {
    constexpr double kRadius = 6;
    for (const NamedPoint& point : points) {
      taken_.push_back(
          {point.at.x - kRadius, point.at.y - kRadius, point.at.x + kRadius, point.at.y + kRadius});
    }
  }

  // The best place, from then on taken.
  Place choose(Point point, double width) {
    constexpr std::array<double, 8> kAngles = {0, -0.6, 0.6, 3.1416, -2.54, 2.54, -1.5708, 1.5708};
    constexpr std::array<double, 5> kDistances = {0, 10, 24, 40, 60};
    Place best;
    double lowest = std::numeric_limits<double>::infinity();
    for (const double distance : kDistances) {
      for (std::size_t i = 0; i < kAngles.size(); ++i) {
        const Place place = place_at(point, kAngles[i], distance, width);
        const double cost = cost_of(place) + static_cast<double>(i);
        if (cost >= lowest) continue;
        lowest = cost;
        best = place;
      }
    }
    taken_.push_back(best.box);
    return best;
  }

 private:
  // Covered pixels weigh most, then what leaves the box, then the distance.
  [[nodiscard]] double cost_of(const Place& place) const {
    double cost = 0.6 * place.distance;
    for (const Box& other : taken_) cost += overlap(place.box, other);
    return cost + 4 * (area(place.box) - overlap(place.box, box_));
  }

  Box box_;
  std::vector<Box> taken_;
};

std::size_t neighbours(const std::vector<NamedPoint>& points, std::size_t i) {
  constexpr double kNear = 60;
  return static_cast<std::size_t>(std::count_if(points.begin(), points.end(), [&](const NamedPoint& other) {
    return std::hypot(other.at.x - points[i].at.x, other.at.y - points[i].at.y) < kNear;
  }));
}

}  // namespace

void draw_frame(Svg& svg, const Box& box, const Axis& x, const Axis& y, std::string_view x_name,
                std::string_view y_name) {
  for (const Tick& tick : y.ticks()) {
    const double at = y.at(tick.value);
    svg.line({box.left, at}, {box.right, at}, "grid");
    svg.text({box.left - 6, at + 4}, tick.label, Anchor::kEnd, "faint");
  }
  for (const Tick& tick : x.ticks()) {
    const double at = x.at(tick.value);
    svg.line({at, box.bottom}, {at, box.bottom + 4}, "axis");
    svg.text({at, box.bottom + 17}, tick.label, Anchor::kMiddle, "faint");
  }
  svg.line({box.left, box.bottom}, {box.right, box.bottom}, "axis");
  svg.text({(box.left + box.right) / 2, box.bottom + 35}, x_name, Anchor::kMiddle);
  svg.text({4, box.top - 9}, y_name);
}

double legend_height(const std::vector<LegendEntry>& entries, double width) {
  double rows = entries.empty() ? 0 : 1;
  double x = 0;
  for (const LegendEntry& entry : entries) {
    if (x > 0 && x + entry_width(entry) > width) {
      x = 0;
      ++rows;
    }
    x += entry_width(entry);
  }
  return rows * kLegendRow;
}

void draw_legend(Svg& svg, const std::vector<LegendEntry>& entries, double top, double width) {
  double x = 0;
  double y = top + kLegendRow / 2;
  for (const LegendEntry& entry : entries) {
    if (x > 0 && x + entry_width(entry) > width) {
      x = 0;
      y += kLegendRow;
    }
    svg.mark({x + 7, y}, entry.series, entry.name);
    svg.text({x + kLegendMark, y + 4}, shortened(entry.name, kLegendName));
    x += entry_width(entry);
  }
}

void draw_names(Svg& svg, const std::vector<NamedPoint>& points, const Box& box) {
  constexpr std::size_t kLongest = 34;
  std::vector<std::size_t> order(points.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return neighbours(points, a) > neighbours(points, b);
  });
  Namer namer(points, box);
  for (const std::size_t i : order) {
    const std::string name = shortened(points[i].name, kLongest);
    const Place place = namer.choose(points[i].at, text_width(name));
    if (place.distance > 0) svg.line(points[i].at, place.tip, "leader");
    svg.text(place.base, name, place.anchor, points[i].strong ? "halo strong" : "halo");
  }
}

}  // namespace sterna::eval::report
