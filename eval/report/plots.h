// The pictures of a report. Each is left out where the report has nothing for it.
//
// Bars of errors are 95 % intervals (1.96 standard errors; for quantiles those of the order statistics).
#pragma once

#include <string>
#include <vector>

#include "eval/report/svg.h"
#include "eval/results.h"

namespace sterna::eval::report {

struct Figure {
  std::string id;  // for links: "quality"
  std::string title;
  std::string caption;              // what is seen, and how it was measured
  std::vector<std::string> panels;  // SVG, one for each text, task or model
  bool is_small = false;            // panels of a third of the page's width
};

// Of the model at `index` in the report.
Series series_of(const Report& report, std::size_t index);

// Perplexity of each text over the size of the file, on log axes, with the line of the Pareto set; bits per
// byte where the tokenizers differ. Needs the sizes of two models.
Figure plot_quality(const Report& report);

// Quantiles of the divergence from the baseline: one panel for each text.
Figure plot_divergence(const Report& report);

// The share of tokens for which model and baseline agree, over the position in the window.
Figure plot_agreement(const Report& report);

// Accuracy for each task, with the line of guessing.
Figure plot_tasks(const Report& report);

// Found needles by length and depth, one panel for each model.
Figure plot_needles(const Report& report);

// All of the above that have panels.
std::vector<Figure> plots(const Report& report);

}  // namespace sterna::eval::report
