#include "eval/report/plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "eval/report/axis.h"
#include "eval/report/chart.h"
#include "eval/report/comparison.h"
#include "eval/report/text.h"

namespace sterna::eval::report {
namespace {

constexpr double kWidth = 560;
constexpr double kHeight = 340;
constexpr double kLeft = 52;
constexpr double kBottom = 46;
constexpr double kRight = 12;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void add(double value) {
    constexpr double kAbsurd = 1e100;  // the width of the range must be finite, too
    if (!(std::abs(value) < kAbsurd)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void add(const Estimate& e) {
    add(e.value - kInterval * e.error);
    add(e.value + kInterval * e.error);
    add(e.value);
  }
  [[nodiscard]] bool empty() const { return low > high; }
};

// The 95 % interval as a vertical bar, within the axis.
void draw_error(Svg& svg, const Axis& y, double x, double low, double high, const Series& series) {
  if (!std::isfinite(low) || !std::isfinite(high) || low >= high) return;
  const double top = y.at(high);
  const double bottom = y.at(low);
  if (bottom - top > 1) svg.error_bar({x, bottom}, {x, top}, series);
}

// Models side by side at one x: the shift of the k-th of n.
double dodge(std::size_t k, std::size_t n, double room) {
  const double step = std::min(7.0, room / static_cast<double>(n));
  return (static_cast<double>(k) - static_cast<double>(n - 1) / 2) * step;
}

std::string curve_class(const Series& series) {
  return fmt::format("curve {}{}", series.css_class(), series.is_dashed() ? " dashed" : "");
}

std::string panel_title(const std::string& text, std::size_t count) {
  return count > 1 ? " (" + text + ")" : std::string();
}

// --- Quality over size

struct Measured {
  std::size_t model = 0;
  double size = 0;  // bytes, then units of the axis
  Estimate quality;
};

std::vector<Measured> measured(const Report& report, const std::string& text, bool bits) {
  std::vector<Measured> list;
  for (std::size_t i = 0; i < report.models.size(); ++i) {
    const ModelResult& model = report.models[i];
    const TextResult* result = find_text(model, text);
    if (result == nullptr || !model.cost || model.cost->file_bytes == 0) continue;
    const Estimate quality = bits ? result->bits_per_byte : result->perplexity;
    if (!(quality.value > 0) || quality.value > 1e99) continue;
    list.push_back({i, static_cast<double>(model.cost->file_bytes), quality});
  }
  return list;
}

// Models much worse than the best lie at the upper border with their number, so that they do not press the
// others together.
constexpr double kFarPerplexity = 1.5;
constexpr double kFarBits = 1.15;  // a perplexity of 13 is then one of 19

double best_of(const std::vector<Measured>& list) {
  double best = std::numeric_limits<double>::infinity();
  for (const Measured& m : list) best = std::min(best, m.quality.value);
  return best;
}

// From the smallest to the best, as a stair: every step is a model that none of this size beats.
std::vector<Point> pareto_stair(std::vector<Measured> list, const Axis& x, const Axis& y) {
  std::stable_sort(list.begin(), list.end(), [](const Measured& a, const Measured& b) {
    return a.size != b.size ? a.size < b.size : a.quality.value < b.quality.value;
  });
  std::vector<Point> stair;
  double best = std::numeric_limits<double>::infinity();
  for (const Measured& m : list) {
    if (m.quality.value >= best) continue;
    best = m.quality.value;
    if (!stair.empty()) stair.push_back({x.at(m.size), stair.back().y});
    stair.push_back({x.at(m.size), y.at(best)});
  }
  return stair;
}

// Divides the sizes by the unit that suits the largest, and returns the unit's name.
std::string_view to_unit(std::vector<Measured>& list) {
  double largest = 0;
  for (const Measured& m : list) largest = std::max(largest, m.size);
  constexpr double kMebi = 1024.0 * 1024.0;
  const bool is_big = largest >= 1024 * kMebi;
  for (Measured& m : list) m.size /= is_big ? 1024 * kMebi : kMebi;
  return is_big ? "GiB" : "MiB";
}

struct QualityAxes {
  Axis x;
  Axis y;
  double limit;  // what is beyond it lies at the upper border
};

QualityAxes quality_axes(const std::vector<Measured>& list, bool bits, const Box& box) {
  Range sizes;
  Range values;
  const double limit = (bits ? kFarBits : kFarPerplexity) * best_of(list);
  for (const Measured& m : list) {
    sizes.add(m.size);
    if (m.quality.value <= limit) values.add(m.quality);
  }
  const bool log_x = sizes.high > 3 * sizes.low;
  const bool log_y = values.low > 0 && values.high > 1.5 * values.low;
  return {
      Axis(log_x ? Scale::kLog : Scale::kLinear, sizes.low, sizes.high, {box.left + 14, box.right - 14}, 6),
      Axis(log_y ? Scale::kLog : Scale::kLinear, values.low, values.high, {box.bottom, box.top + 8}, 6),
      limit};
}

std::string quality_panel(const Report& report, const std::string& text, bool bits, std::size_t texts) {
  std::vector<Measured> list = measured(report, text, bits);
  if (list.size() < 2) return {};
  const std::string_view unit = to_unit(list);
  const std::string_view measure = bits ? "Bits per byte" : "Perplexity";
  const Box box{kLeft, 30, kWidth - kRight, kHeight - kBottom};
  const auto [x, y, limit] = quality_axes(list, bits, box);
  Svg svg(kWidth, kHeight,
          fmt::format("{} against file size of {} models on {}", measure, list.size(), text));
  draw_frame(svg, box, x, y, fmt::format("size of the file, {}", unit),
             fmt::format("{}{}, lower is better", measure, panel_title(text, texts)));
  svg.polyline(pareto_stair(list, x, y), "pareto");
  std::vector<NamedPoint> names;
  names.reserve(list.size());
  for (const Measured& m : list) {
    const ModelResult& model = report.models[m.model];
    const Series series = series_of(report, m.model);
    const Point at{x.at(m.size), y.at(m.quality.value)};
    const double error = kInterval * m.quality.error;
    const bool is_far = m.quality.value > limit;
    if (!is_far) draw_error(svg, y, at.x, m.quality.value - error, m.quality.value + error, series);
    svg.mark(
        at, series,
        fmt::format("{}: {}, {} {}", model.name, bytes(model.cost->file_bytes), measure, number(m.quality)));
    const std::string beyond =
        is_far ? fmt::format(" \xE2\x86\x91 {}", number(m.quality.value)) : std::string();
    names.push_back({at, model.name + beyond, series.is_baseline});
  }
  draw_names(svg, names, box);
  return std::move(svg).finish();
}

// --- Curves of all models on one text

struct CurvePoint {
  double x = 0;
  double value = 0;
  double low = 0;
  double high = 0;
  std::string tooltip;
};

struct Curve {
  std::size_t model = 0;
  std::vector<CurvePoint> points;
};

std::vector<LegendEntry> legend_of(const Report& report, const std::vector<Curve>& curves) {
  std::vector<LegendEntry> entries;
  entries.reserve(curves.size());
  for (const Curve& curve : curves) {
    entries.push_back({report.models[curve.model].name, series_of(report, curve.model)});
  }
  return entries;
}

// `room`: pixels between two neighbouring values of x, among which the models are shifted.
void draw_curves(Svg& svg, const Report& report, const std::vector<Curve>& curves, const Axis& x,
                 const Axis& y, double room) {
  for (std::size_t k = 0; k < curves.size(); ++k) {
    const Series series = series_of(report, curves[k].model);
    const double shift = dodge(k, curves.size(), room);
    std::vector<Point> line;
    for (const CurvePoint& p : curves[k].points) line.push_back({x.at(p.x) + shift, y.at(p.value)});
    svg.polyline(line, curve_class(series));
    for (std::size_t i = 0; i < line.size(); ++i) {
      const CurvePoint& p = curves[k].points[i];
      draw_error(svg, y, line[i].x, p.low, p.high, series);
      svg.mark(line[i], series, p.tooltip);
    }
  }
}

template <class Points>
std::vector<Curve> curves_of(const Report& report, const std::string& text, const Points& points) {
  std::vector<Curve> curves;
  for (std::size_t i = 0; i < report.models.size(); ++i) {
    const TextResult* result = find_text(report.models[i], text);
    if (result == nullptr || !result->divergence) continue;
    Curve curve{i, points(report.models[i], *result->divergence)};
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

Box curve_box(double legend, double height) {
  return {kLeft, legend + 30, kWidth - kRight, height - kBottom};
}

// --- Divergence

constexpr double kLeastKl = 1e-6;  // float32 logits of two equal models differ by about this much

std::vector<CurvePoint> kl_points(const ModelResult& model, const Divergence& d) {
  std::vector<CurvePoint> points;
  for (std::size_t i = 0; i < d.kl_quantiles.size(); ++i) {
    const Quantile& q = d.kl_quantiles[i];
    if (!(std::abs(q.value) < 1e99)) continue;
    const auto bounded = [](double v) { return std::max(v, kLeastKl); };
    points.push_back({static_cast<double>(i), bounded(q.value), bounded(q.low), bounded(q.high),
                      fmt::format("{}: {} of the tokens diverge by less than {} nats ({} to {})", model.name,
                                  percent(q.share), number(q.value), number(q.low), number(q.high))});
  }
  return points;
}

std::string share_label(double share) {
  return share == 0.5 ? std::string("median") : fmt::format("{:g} %", 100 * share);
}

std::string divergence_panel(const Report& report, const std::string& text, std::size_t texts) {
  const std::vector<Curve> curves = curves_of(report, text, kl_points);
  if (curves.empty()) return {};
  Range values;
  std::vector<Tick> ticks;
  for (const Curve& curve : curves) {
    for (const CurvePoint& p : curve.points) {
      values.add(p.value);
      values.add(p.low);
      values.add(p.high);
    }
    const auto& quantiles = find_text(report.models[curve.model], text)->divergence->kl_quantiles;
    for (std::size_t i = ticks.size(); i < quantiles.size(); ++i) {
      ticks.push_back({static_cast<double>(i), share_label(quantiles[i].share)});
    }
  }
  const std::vector<LegendEntry> legend = legend_of(report, curves);
  const double above = legend_height(legend, kWidth);
  const double height = kHeight + above;
  const Box box = curve_box(above, height);
  const double room = (box.right - box.left) / static_cast<double>(ticks.size());
  const auto last = static_cast<double>(ticks.size() - 1);
  Axis x(Scale::kLinear, 0, last, {box.left + room * 0.4, box.right - room * 0.4}, 4);
  x.set_ticks(std::move(ticks));
  const Axis y(Scale::kLog, values.low, values.high, {box.bottom, box.top}, 6);
  Svg svg(kWidth, height, fmt::format("Quantiles of the divergence from the baseline on {}", text));
  draw_legend(svg, legend, 0, kWidth);
  draw_frame(svg, box, x, y, "share of the tokens that diverge by less",
             fmt::format("KL divergence, nats{}, lower is better", panel_title(text, texts)));
  draw_curves(svg, report, curves, x, y, room * 0.6);
  return std::move(svg).finish();
}

// --- Agreement

std::vector<CurvePoint> agreement_points(const ModelResult& model, const Divergence& d) {
  std::vector<CurvePoint> points;
  for (const PositionRange& range : d.by_position) {
    if (!(std::abs(range.top1.value) <= 1) || range.tokens == 0) continue;
    const double error = kInterval * range.top1.error;
    // The middle of the range as a log axis sees it, where the first position is 1.
    const double middle = std::sqrt((static_cast<double>(range.first) + 1) * static_cast<double>(range.last));
    points.push_back({std::max(middle, 1.0), 100 * range.top1.value,
                      std::max(0.0, 100 * (range.top1.value - error)),
                      std::min(100.0, 100 * (range.top1.value + error)),
                      fmt::format("{}: {} at positions {} to {}", model.name, percent(range.top1),
                                  range.first, range.last == 0 ? 0 : range.last - 1)});
  }
  return points;
}

std::string agreement_panel(const Report& report, const std::string& text, std::size_t texts) {
  const std::vector<Curve> curves = curves_of(report, text, agreement_points);
  Range values;
  Range positions;
  std::size_t most = 0;
  for (const Curve& curve : curves) {
    most = std::max(most, curve.points.size());
    for (const CurvePoint& p : curve.points) {
      positions.add(p.x);
      values.add(p.value);
      values.add(p.low);
      values.add(p.high);
    }
  }
  if (most < 2) return {};
  const std::vector<LegendEntry> legend = legend_of(report, curves);
  const double above = legend_height(legend, kWidth);
  const double height = kHeight + above;
  const Box box = curve_box(above, height);
  const bool is_log = positions.high > 8 * positions.low;
  const double room = (box.right - box.left) / static_cast<double>(most);
  const Axis x(is_log ? Scale::kLog : Scale::kLinear, positions.low, positions.high,
               {box.left + 8, box.right - 8}, 7);
  const Axis y(Scale::kLinear, values.low, values.high, {box.bottom, box.top}, 6);
  Svg svg(kWidth, height, fmt::format("Agreement with the baseline by position on {}", text));
  draw_legend(svg, legend, 0, kWidth);
  draw_frame(svg, box, x, y, "position in the window, tokens",
             fmt::format("Same most likely token, %{}, higher is better", panel_title(text, texts)));
  draw_curves(svg, report, curves, x, y, std::min(room * 0.4, 24.0));
  return std::move(svg).finish();
}

// --- Tasks

constexpr double kPanelWidth = 376;

std::string task_value(const TaskResult& task) {
  const auto& test = accuracy_test(task);
  const std::string value = percent(accuracy(task));
  // Without a shown difference the bar's length says nothing about the order.
  return test && test->p_value >= kShown ? value + " \xE2\x89\x88" : value;
}

constexpr double kTaskRow = 22;
constexpr std::size_t kTaskName = 22;  // cells

void draw_task_row(Svg& svg, const Report& report, std::size_t index, const TaskResult& task, const Axis& x,
                   double y) {
  const Estimate& value = accuracy(task);
  const Series series = series_of(report, index);
  const std::string& name = report.models[index].name;
  const double zero = x.at(0);
  svg.mark({7, y}, series);
  svg.text({18, y + 4}, shortened(name, kTaskName));
  svg.rect({zero, y - 7}, std::max(0.0, x.at(value.value) - zero), 14, "bar " + series.css_class(),
           fmt::format("{}: {}", name, percent(value)));
  const double error = kInterval * value.error;
  if (std::isfinite(error) && error > 0) {
    svg.error_bar({x.at(std::max(0.0, value.value - error)), y}, {x.at(value.value + error), y}, series);
  }
  svg.text({kPanelWidth, y + 4}, task_value(task), Anchor::kEnd);
}

void draw_task_axis(Svg& svg, const Axis& x, const Box& box) {
  for (const Tick& tick : x.ticks()) {
    if (tick.value < 0) continue;
    const double at = x.at(tick.value);
    svg.line({at, box.top}, {at, box.bottom}, "grid");
    svg.text({at, box.bottom + 15}, fmt::format("{:g} %", 100 * tick.value), Anchor::kMiddle, "faint");
  }
}

std::string task_panel(const Report& report, const std::string& name) {
  std::vector<std::size_t> models;
  double name_width = 0;
  Range values;
  for (std::size_t i = 0; i < report.models.size(); ++i) {
    const TaskResult* task = find_task(report.models[i], name);
    if (task == nullptr || !(std::abs(accuracy(*task).value) <= 1)) continue;
    models.push_back(i);
    name_width = std::max(name_width, text_width(shortened(report.models[i].name, kTaskName)));
    values.add(accuracy(*task));
    values.add(task->chance);
  }
  if (models.empty()) return {};
  const Box box{name_width + 22, 24, kPanelWidth - 96, 28 + kTaskRow * static_cast<double>(models.size())};
  constexpr double kTickRoom = 33;  // of "100 %"
  const Axis x(Scale::kLinear, 0, std::clamp(values.high, 0.01, 1.0), {box.left, box.right},
               static_cast<int>((box.right - box.left) / kTickRoom));
  Svg svg(kPanelWidth, box.bottom + 24, fmt::format("Accuracy in {}", name));
  svg.text({0, 12}, name, Anchor::kStart, "strong");
  draw_task_axis(svg, x, box);
  double y = box.top + 4 + kTaskRow / 2;
  for (const std::size_t i : models) {
    draw_task_row(svg, report, i, *find_task(report.models[i], name), x, y);
    y += kTaskRow;
  }
  const double chance = find_task(report.models[models.front()], name)->chance;
  if (chance > 0) svg.line({x.at(chance), box.top}, {x.at(chance), box.bottom}, "reference");
  return std::move(svg).finish();
}

// --- Needles

std::size_t share_level(std::size_t found, std::size_t asked) {
  if (found == 0) return 0;
  if (found >= asked) return 5;
  return 1 + std::min<std::size_t>(3, 4 * found / asked);
}

constexpr double kNeedleRow = 26;

// At the cell's upper left corner.
void draw_needle_cell(Svg& svg, const std::string& model, const NeedleCell& cell, Point corner,
                      double width) {
  const std::size_t level = share_level(cell.found, cell.asked);
  svg.rect(corner, width, kNeedleRow, fmt::format("cell share-{}", level),
           fmt::format("{}: {} of {} found at {} tokens, depth {:.0f} %", model, cell.found, cell.asked,
                       cell.length, 100 * cell.depth));
  svg.text({corner.x + width / 2, corner.y + kNeedleRow / 2 + 4},
           fmt::format("{}/{}", cell.found, cell.asked), Anchor::kMiddle, fmt::format("on-{}", level));
}

// Where values lie that are shown side by side.
template <class Value>
std::map<Value, double> places(const std::set<Value>& values, double first, double step) {
  std::map<Value, double> result;
  for (const Value& value : values) result[value] = first + step * static_cast<double>(result.size());
  return result;
}

std::string needle_panel(const Report& report, std::size_t index) {
  const ModelResult& model = report.models[index];
  std::set<std::size_t> lengths;
  std::set<double> depths;
  for (const NeedleCell& cell : model.needle) {
    if (cell.asked == 0 || !std::isfinite(cell.depth)) continue;
    lengths.insert(cell.length);
    depths.insert(cell.depth);
  }
  if (lengths.empty()) return {};
  constexpr double kTop = 42;
  const auto columns = static_cast<double>(lengths.size());
  const double width = std::clamp((kPanelWidth - kLeft) / columns, 44.0, 62.0);
  const double right = kLeft + width * columns;
  const double bottom = kTop + kNeedleRow * static_cast<double>(depths.size());
  const auto x_of = places(lengths, kLeft, width);
  const auto y_of = places(depths, kTop, kNeedleRow);
  Svg svg(std::max(kPanelWidth, right), bottom + 40,
          fmt::format("Needles that {} found, by length of the text and depth", model.name));
  svg.mark({7, 9}, series_of(report, index));
  svg.text({18, 13}, shortened(model.name, 46), Anchor::kStart, "strong");
  svg.text({0, 34}, "depth", Anchor::kStart, "faint");
  for (const auto& [depth, y] : y_of) {
    svg.text({kLeft - 8, y + kNeedleRow / 2 + 4}, fmt::format("{:.0f} %", 100 * depth), Anchor::kEnd,
             "faint");
  }
  for (const auto& [length, x] : x_of) {
    svg.text({x + width / 2, bottom + 15}, grouped(length), Anchor::kMiddle, "faint");
  }
  for (const NeedleCell& cell : model.needle) {
    if (cell.asked == 0 || !std::isfinite(cell.depth)) continue;
    draw_needle_cell(svg, model.name, cell, {x_of.at(cell.length), y_of.at(cell.depth)}, width);
  }
  svg.text({(kLeft + right) / 2, bottom + 33}, "length of the text, tokens", Anchor::kMiddle);
  return std::move(svg).finish();
}

template <class Panel>
void add_panels(Figure& figure, const std::vector<std::string>& names, const Panel& panel) {
  for (const std::string& name : names) {
    std::string svg = panel(name);
    if (!svg.empty()) figure.panels.push_back(std::move(svg));
  }
}

}  // namespace

Series series_of(const Report& report, std::size_t index) {
  const bool has_baseline = report.baseline() != nullptr;
  if (has_baseline && index == 0) return {true, 0};
  return {false, index - static_cast<std::size_t>(has_baseline)};
}

Figure plot_quality(const Report& report) {
  const bool bits = !one_tokenizer(report);
  Figure figure{"quality", bits ? "Bits per byte against size" : "Perplexity against size", "", {}, false};
  figure.caption =
      "Down and to the left is better; an arrow: beyond the upper border. The dashed line joins the models "
      "that no other one beats in both size "
      "and "
      "quality (the Pareto set). Bars: 95 % intervals of each model alone; on the same text models differ by "
      "less than these suggest, see the paired ratios in the tables.";
  if (bits) {
    figure.caption += " Perplexities are not comparable: the tokenizers differ.";
  }
  const std::vector<std::string> texts = text_names(report);
  add_panels(figure, texts,
             [&](const std::string& text) { return quality_panel(report, text, bits, texts.size()); });
  return figure;
}

Figure plot_divergence(const Report& report) {
  Figure figure{"divergence", "How far from the baseline", "", {}, false};
  figure.caption =
      "KL(baseline || model) for each token: half of the tokens diverge by less than the median, one in a "
      "hundred by "
      "more than the 99 % quantile, where the damage that a mean hides shows. Bars: 95 % intervals.";
  const std::vector<std::string> texts = text_names(report);
  add_panels(figure, texts,
             [&](const std::string& text) { return divergence_panel(report, text, texts.size()); });
  return figure;
}

Figure plot_agreement(const Report& report) {
  Figure figure{"agreement", "Agreement by position", "", {}, false};
  figure.caption =
      "How often model and baseline have the same most likely token, by the token's position in the window. "
      "A curve that falls to the right loses long contexts. Bars: 95 % intervals.";
  const std::vector<std::string> texts = text_names(report);
  add_panels(figure, texts,
             [&](const std::string& text) { return agreement_panel(report, text, texts.size()); });
  return figure;
}

Figure plot_tasks(const Report& report) {
  Figure figure{"tasks", "Tasks", "", {}, true};
  figure.caption =
      "Accuracy with its standard error in figures; bars: 95 % intervals; dotted line: guessing.";
  if (report.baseline() != nullptr && report.models.size() > 1) {
    figure.caption += " \xE2\x89\x88: a difference from the baseline is not shown (paired test, p >= 0.05).";
  }
  add_panels(figure, task_names(report), [&](const std::string& task) { return task_panel(report, task); });
  return figure;
}

Figure plot_needles(const Report& report) {
  Figure figure{"needles", "Needle in a haystack", "", {}, true};
  figure.caption =
      "A sentence hidden in a long text, asked for at the end: found of asked. Blue: all found; orange: "
      "none.";
  for (std::size_t i = 0; i < report.models.size(); ++i) {
    std::string svg = needle_panel(report, i);
    if (!svg.empty()) figure.panels.push_back(std::move(svg));
  }
  return figure;
}

std::vector<Figure> plots(const Report& report) {
  std::vector<Figure> figures;
  for (const auto& plot : {plot_quality, plot_divergence, plot_agreement, plot_tasks, plot_needles}) {
    Figure figure = plot(report);
    if (!figure.panels.empty()) figures.push_back(std::move(figure));
  }
  return figures;
}

}  // namespace sterna::eval::report
