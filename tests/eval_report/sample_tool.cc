// sterna_sample_report DIRECTORY [MODELS [WHAT]]: writes a report of invented numbers, to look at the page.
// WHAT: "no-baseline", "tokenizers", "few" (one text, no tasks), "no-cost".
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "eval/report/markdown.h"
#include "eval/report/write.h"
#include "tests/eval_report/sample.h"

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: sterna_sample_report DIRECTORY [MODELS [WHAT]]\n");
    return 2;
  }
  const std::size_t models = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 6;
  const std::string what = argc > 3 ? argv[3] : "";
  sterna::eval::Report report = sterna::testing::sample_report(models);
  for (auto& model : report.models) {
    if (what == "no-baseline" || what == "tokenizers") {
      model.is_baseline = false;
      for (auto& text : model.texts) text.divergence.reset();
      for (auto& task : model.tasks) task.acc_test = task.acc_norm_test = std::nullopt;
      if (what == "tokenizers") model.tokenizer += model.name;
    }
    if (what == "few") {
      model.texts.resize(1);
      model.tasks.clear();
      model.generations.clear();
      model.needle.clear();
    }
    if (what == "no-cost") model.cost.reset();
  }
  const sterna::Status status = sterna::eval::report::write_report(report, argv[1]);
  if (!status) {
    fmt::print(stderr, "{}\n", status.error().message);
    return 1;
  }
  fmt::print("{}", sterna::eval::report::terminal_text(report));
  return 0;
}
