#include "eval/report/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "eval/report/comparison.h"

namespace sterna::eval::report {
namespace {

constexpr const char* kMissing = "-";

// A column and how it is filled; an empty cell is a missing value.
template <class Entry>
struct Measure {
  Column column;
  std::function<std::string(const Entry&)> cell;
};

// One row for each entry; columns that stay empty are dropped.
template <class Entry>
Table table_of(std::string title, std::string note, const std::vector<Entry>& entries,
               const std::vector<Measure<Entry>>& measures) {
  Table table;
  table.title = std::move(title);
  table.note = std::move(note);
  table.rows.resize(entries.size());
  for (const Measure<Entry>& measure : measures) {
    std::vector<std::string> cells;
    cells.reserve(entries.size());
    for (const Entry& entry : entries) cells.push_back(measure.cell(entry));
    if (std::all_of(cells.begin(), cells.end(), [](const std::string& cell) { return cell.empty(); })) {
      continue;
    }
    table.columns.push_back(measure.column);
    for (std::size_t i = 0; i < cells.size(); ++i) {
      table.rows[i].push_back(cells[i].empty() ? std::string(kMissing) : std::move(cells[i]));
    }
  }
  return table;
}

Column column(std::string title, std::string hint = {}) {
  return {std::move(title), Align::kRight, std::move(hint), false};
}

Column words(std::string title, std::string hint = {}) {
  return {std::move(title), Align::kLeft, std::move(hint), false};
}

Column model_column() { return {"model", Align::kLeft, "", true}; }

using OfModel = const ModelResult*;

std::vector<OfModel> all_models(const Report& report) {
  std::vector<OfModel> models;
  models.reserve(report.models.size());
  for (const ModelResult& model : report.models) models.push_back(&model);
  return models;
}

// A cell from the model's cost; empty without one.
template <class Cell>
auto of_cost(const Cell& cell) {
  return [cell](OfModel model) { return model->cost ? cell(*model->cost) : std::string(); };
}

std::string positive(const Estimate& estimate) {
  return estimate.value > 0 ? number(estimate) : std::string();
}

std::string positive(double value, int decimals) {
  return value > 0 ? number(value, decimals) : std::string();
}

// --- Texts

struct OfText {
  const ModelResult* model;
  const TextResult* result;
};

template <class Cell>
auto of_text(const Cell& cell) {
  return
      [cell](const OfText& entry) { return entry.result != nullptr ? cell(*entry.result) : std::string(); };
}

template <class Cell>
auto of_divergence(const Cell& cell) {
  return of_text(
      [cell](const TextResult& text) { return text.divergence ? cell(*text.divergence) : std::string(); });
}

std::string quantile_cell(const std::vector<Quantile>& quantiles, double share) {
  const auto found = std::find_if(quantiles.begin(), quantiles.end(),
                                  [&](const Quantile& q) { return std::abs(q.share - share) < 1e-9; });
  return found == quantiles.end() ? std::string() : number(found->value);
}

// With the interval: "0.083 (0.079 to 0.088)".
std::string quantile_with_interval(const std::vector<Quantile>& quantiles, double share) {
  for (const Quantile& q : quantiles) {
    if (std::abs(q.share - share) >= 1e-9) continue;
    return fmt::format("{} ({} to {})", number(q.value), number(q.low), number(q.high));
  }
  return {};
}

std::vector<Measure<OfText>> text_measures(bool one_vocabulary) {
  std::vector<Measure<OfText>> list;
  list.push_back({model_column(), [](const OfText& e) { return e.model->name; }});
  list.push_back(
      {column("tokens scored"), of_text([](const TextResult& t) { return grouped(t.scored_tokens); })});
  list.push_back({column(one_vocabulary ? "perplexity" : "perplexity (own tokens, not comparable)"),
                  of_text([](const TextResult& t) { return number(t.perplexity); })});
  list.push_back(
      {column("bits per byte"), of_text([](const TextResult& t) { return number(t.bits_per_byte); })});
  list.push_back({column("perplexity ratio", "to the baseline, paired token by token"),
                  of_divergence([](const Divergence& d) { return number(perplexity_ratio(d)); })});
  list.push_back({column("top-1 agreement", "the same most likely token"),
                  of_divergence([](const Divergence& d) { return percent(d.top1); })});
  list.push_back(
      {column("top-5 overlap"), of_divergence([](const Divergence& d) { return percent(d.top5); })});
  list.push_back({column("change of p", "of the true token's probability, mean, in points"),
                  of_divergence([](const Divergence& d) {
                    return number(Estimate{100 * d.p_change.value, 100 * d.p_change.error});
                  })});
  list.push_back({column("its RMS", "root mean square of the change, in points"),
                  of_divergence([](const Divergence& d) { return number(100 * d.p_change_rms, 2); })});
  return list;
}

std::vector<Measure<OfText>> divergence_measures() {
  std::vector<Measure<OfText>> list;
  list.push_back({model_column(), [](const OfText& e) { return e.model->name; }});
  list.push_back({column("KL mean", "KL(baseline || model), nats per token"),
                  of_divergence([](const Divergence& d) { return number(d.kl); })});
  for (const auto& [share, title] :
       {std::pair{0.5, "KL median"}, {0.9, "KL 90 %"}, {0.99, "KL 99 %"}, {0.999, "KL 99.9 %"}}) {
    list.push_back(
        {column(title, "95 % interval in brackets"), of_divergence([share = share](const Divergence& d) {
           return quantile_with_interval(d.kl_quantiles, share);
         })});
  }
  list.push_back({column("KL max"), of_divergence([](const Divergence& d) { return number(d.kl_max); })});
  return list;
}

// --- Tasks

struct OfTask {
  const ModelResult* model;
  const TaskResult* task;
};

std::vector<Measure<OfTask>> task_measures() {
  std::vector<Measure<OfTask>> list;
  list.push_back({model_column(), [](const OfTask& e) { return e.model->name; }});
  list.push_back({column("accuracy"), [](const OfTask& e) { return percent(e.task->acc); }});
  list.push_back(
      {column("normalised", "choices compared by log-probability over their length"),
       [](const OfTask& e) { return e.task->acc_norm ? percent(*e.task->acc_norm) : std::string(); }});
  list.push_back({column("perplexity", "of the target"), [](const OfTask& e) {
                    return e.task->perplexity ? number(*e.task->perplexity) : std::string();
                  }});
  list.push_back({column("change, points", "of the accuracy shown, against the baseline"),
                  [](const OfTask& e) -> std::string {
                    const auto& test = accuracy_test(*e.task);
                    if (!test) return {};
                    return number(Estimate{100 * test->difference.value, 100 * test->difference.error});
                  }});
  list.push_back(
      {words("difference", "McNemar's exact test on the same items, two-sided"), [](const OfTask& e) {
         const auto& test = accuracy_test(*e.task);
         return test ? test_words(*test) : std::string();
       }});
  list.push_back({column("only baseline right"), [](const OfTask& e) {
                    const auto& test = accuracy_test(*e.task);
                    return test ? grouped(test->only_baseline) : std::string();
                  }});
  list.push_back({column("only model right"), [](const OfTask& e) {
                    const auto& test = accuracy_test(*e.task);
                    return test ? grouped(test->only_model) : std::string();
                  }});
  list.push_back(
      {column("left out", "items of which an answer is longer than a model's context"),
       [](const OfTask& e) { return e.task->left_out > 0 ? grouped(e.task->left_out) : std::string(); }});
  list.push_back({column("cut", "items whose context was cut to fit"), [](const OfTask& e) {
                    return e.task->truncated > 0 ? grouped(e.task->truncated) : std::string();
                  }});
  return list;
}

// --- Generation

struct OfGeneration {
  const ModelResult* model;
  const GenerationResult* result;
};

std::vector<Measure<OfGeneration>> generation_measures() {
  std::vector<Measure<OfGeneration>> list;
  list.push_back({model_column(), [](const OfGeneration& e) { return e.model->name; }});
  list.push_back(
      {column("answers"), [](const OfGeneration& e) { return grouped(e.result->answers.size()); }});
  list.push_back({column("looping"), [](const OfGeneration& e) { return percent(e.result->looping); }});
  list.push_back({column("length, tokens"), [](const OfGeneration& e) { return number(e.result->length); }});
  list.push_back({column("distinct 1", "distinct tokens over tokens"),
                  [](const OfGeneration& e) { return number(e.result->distinct1, 3); }});
  list.push_back(
      {column("distinct 2"), [](const OfGeneration& e) { return number(e.result->distinct2, 3); }});
  list.push_back(
      {column("distinct 3"), [](const OfGeneration& e) { return number(e.result->distinct3, 3); }});
  list.push_back({column("as the baseline", "share of its answer before the first differing token"),
                  [](const OfGeneration& e) {
                    return e.result->agreement ? percent(*e.result->agreement) : std::string();
                  }});
  return list;
}

// --- Summary

std::vector<Measure<OfModel>> summary_start() {
  std::vector<Measure<OfModel>> list;
  list.push_back({model_column(), [](OfModel m) { return m->name; }});
  list.push_back({words("kind"), [](OfModel m) { return m->kind; }});
  list.push_back({column("size"), of_cost([](const Cost& c) {
                    return c.file_bytes > 0 ? bytes(c.file_bytes) : std::string();
                  })});
  list.push_back({column("bits/w", "bits per weight of the linear matrices"),
                  of_cost([](const Cost& c) { return positive(c.bits_per_weight, 2); })});
  return list;
}

void add_summary_text(const Report& report, const std::string& text, std::vector<Measure<OfModel>>& list) {
  const auto add = [&](Column header, auto of) {
    list.push_back({std::move(header), [of, text](OfModel m) { return of(OfText{m, find_text(*m, text)}); }});
  };
  if (one_tokenizer(report)) {
    add(column("perplexity"), of_text([](const TextResult& t) { return number(t.perplexity); }));
  } else {
    add(column("bits per byte"), of_text([](const TextResult& t) { return number(t.bits_per_byte); }));
  }
  add(column("ratio", "of the perplexities, to the baseline, paired token by token"),
      of_divergence([](const Divergence& d) { return number(perplexity_ratio(d)); }));
  add(column("KL mean", "KL(baseline || model), nats per token"),
      of_divergence([](const Divergence& d) { return number(d.kl); }));
  add(column("KL 99 %", "one token in a hundred diverges by more; the interval is in the table of the text"),
      of_divergence([](const Divergence& d) { return quantile_cell(d.kl_quantiles, 0.99); }));
  add(column("top-1", "the same most likely token"),
      of_divergence([](const Divergence& d) { return percent(d.top1); }));
}

template <class Result>
const Result* find_named(const std::vector<Result>& list, const std::string& name) {
  const auto found =
      std::find_if(list.begin(), list.end(), [&](const Result& result) { return result.name == name; });
  return found == list.end() ? nullptr : &*found;
}

}  // namespace

std::string protocol_words(const Protocol& protocol) {
  std::string text =
      fmt::format("protocol {}: windows of {} tokens", protocol.name, grouped(protocol.window));
  if (protocol.name == "second-half") text += ", the second half of each is scored";
  if (protocol.name == "all") text += ", all of their tokens are scored";
  if (protocol.stride > 0) text += fmt::format(", stride {}", grouped(protocol.stride));
  if (protocol.bos) text += ", the first token of a window replaced by BOS";
  return text;
}

std::string test_words(const PairedTest& test) {
  if (!(test.p_value < kShown)) return fmt::format("not shown ({})", p_value(test.p_value));
  return fmt::format("{} ({})", test.difference.value < 0 ? "worse" : "better", p_value(test.p_value));
}

Table summary_table(const Report& report) {
  std::vector<Measure<OfModel>> list = summary_start();
  const std::vector<std::string> texts = text_names(report);
  std::string note;
  if (!texts.empty()) {
    add_summary_text(report, texts.front(), list);
    note = fmt::format("Text: {}.", texts.front());
    if (!one_tokenizer(report)) {
      note += " The tokenizers differ: perplexities are not comparable, bits per byte are.";
    }
  }
  list.push_back({column("tasks", "mean accuracy over the tasks that every model has"), [&](OfModel m) {
                    const auto mean = mean_accuracy(report, *m);
                    return mean ? percent(*mean) : std::string();
                  }});
  list.push_back(
      {column("prefill t/s", "tokens a second"), of_cost([](const Cost& c) { return positive(c.prefill); })});
  list.push_back(
      {column("decode t/s", "tokens a second"), of_cost([](const Cost& c) { return positive(c.decode); })});
  return table_of("Summary", std::move(note), all_models(report), list);
}

std::vector<Table> text_tables(const Report& report) {
  std::vector<Table> tables;
  for (const std::string& name : text_names(report)) {
    std::vector<OfText> entries;
    for (const ModelResult& model : report.models) {
      if (const TextResult* text = find_text(model, name)) entries.push_back({&model, text});
    }
    const TextResult& first = *entries.front().result;
    std::string note =
        fmt::format("{}; {} tokens, {} bytes scored with the first model's tokenizer.",
                    protocol_words(first.protocol), grouped(first.tokens), grouped(first.scored_bytes));
    tables.push_back(table_of(name, std::move(note), entries, text_measures(one_tokenizer(report))));
    std::erase_if(entries, [](const OfText& entry) { return !entry.result->divergence; });
    if (entries.empty()) continue;
    tables.push_back(table_of(fmt::format("{}: divergence", name),
                              "KL(baseline || model), nats per token; quantiles with their 95 % intervals.",
                              entries, divergence_measures()));
  }
  return tables;
}

std::vector<Table> task_tables(const Report& report) {
  std::vector<Table> tables;
  for (const std::string& name : task_names(report)) {
    std::vector<OfTask> entries;
    for (const ModelResult& model : report.models) {
      if (const TaskResult* task = find_task(model, name)) entries.push_back({&model, task});
    }
    const TaskResult& first = *entries.front().task;
    std::string note = fmt::format("{} items, {} shots", grouped(first.items), first.shots);
    note += first.chance > 0 ? fmt::format(", guessing {}.", percent(first.chance)) : std::string(".");
    tables.push_back(table_of(name, std::move(note), entries, task_measures()));
  }
  return tables;
}

std::vector<Table> generation_tables(const Report& report) {
  std::vector<std::string> names;
  for (const ModelResult& model : report.models) {
    for (const GenerationResult& g : model.generations) {
      if (std::find(names.begin(), names.end(), g.name) == names.end()) names.push_back(g.name);
    }
  }
  std::vector<Table> tables;
  for (const std::string& name : names) {
    std::vector<OfGeneration> entries;
    for (const ModelResult& model : report.models) {
      if (const auto* result = find_named(model.generations, name)) entries.push_back({&model, result});
    }
    std::string note = fmt::format("At most {} tokens an answer.", grouped(entries.front().result->limit));
    tables.push_back(table_of(name, std::move(note), entries, generation_measures()));
  }
  return tables;
}

Table needle_table(const Report& report) {
  using Counts = std::map<std::size_t, std::pair<std::size_t, std::size_t>>;
  std::vector<std::pair<const ModelResult*, Counts>> entries;
  Counts lengths;
  for (const ModelResult& model : report.models) {
    if (model.needle.empty()) continue;
    Counts counts;
    for (const NeedleCell& cell : model.needle) {
      counts[cell.length].first += cell.found;
      counts[cell.length].second += cell.asked;
      lengths[cell.length] = {};
    }
    entries.emplace_back(&model, std::move(counts));
  }
  using Entry = std::pair<const ModelResult*, Counts>;
  std::vector<Measure<Entry>> list;
  list.push_back({model_column(), [](const Entry& e) { return e.first->name; }});
  for (const auto& [length, unused] : lengths) {
    list.push_back({column(fmt::format("{} tokens", grouped(length))), [n = length](const Entry& e) {
                      const auto found = e.second.find(n);
                      if (found == e.second.end()) return std::string();
                      return fmt::format("{}/{}", found->second.first, found->second.second);
                    }});
  }
  return table_of("Needle in a haystack", "Found of asked, over all depths.", entries, list);
}

Table cost_table(const Report& report) {
  std::vector<Measure<OfModel>> list;
  list.push_back({model_column(), [](OfModel m) { return m->name; }});
  const auto size = [](std::uint64_t count) { return count > 0 ? bytes(count) : std::string(); };
  list.push_back({column("file"), of_cost([=](const Cost& c) { return size(c.file_bytes); })});
  list.push_back({column("bits/weight", "of the linear matrices"),
                  of_cost([](const Cost& c) { return positive(c.bits_per_weight, 3); })});
  list.push_back({column("with embedding", "bits per weight of everything"),
                  of_cost([](const Cost& c) { return positive(c.bits_per_weight_whole, 3); })});
  list.push_back(
      {column("peak memory"), of_cost([=](const Cost& c) { return size(c.peak_resident_bytes); })});
  list.push_back({column("load"), of_cost([](const Cost& c) {
                    return c.load_seconds > 0 ? seconds(c.load_seconds) : std::string();
                  })});
  list.push_back({column("prefill, tok/s"), of_cost([](const Cost& c) { return positive(c.prefill); })});
  list.push_back({column("decode, tok/s"), of_cost([](const Cost& c) { return positive(c.decode); })});
  std::string note;
  for (const ModelResult& model : report.models) {
    if (!model.cost || model.cost->prefill_tokens + model.cost->decode_tokens == 0) continue;
    note = fmt::format("Prefill of {} tokens, decoding of {}.", grouped(model.cost->prefill_tokens),
                       grouped(model.cost->decode_tokens));
    break;
  }
  return table_of("Cost", std::move(note), all_models(report), list);
}

Table file_table(const Report& report) {
  std::vector<Measure<OfModel>> list;
  list.push_back({model_column(), [](OfModel m) { return m->name; }});
  list.push_back({words("file"), [](OfModel m) { return m->path; }});
  list.push_back({words("checksum of the weights"), [](OfModel m) { return m->checksum; }});
  list.push_back({words("tokenizer"), [](OfModel m) { return m->tokenizer; }});
  return table_of("Models", "", all_models(report), list);
}

Table setting_table(const Report& report) {
  Table table;
  table.title = "How this was measured";
  table.columns = {words("what"), words("value")};
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) table.rows.push_back({name, value});
  };
  add("command", report.command);
  add("suite", report.suite);
  add("date", report.date);
  add("sterna", report.version);
  add("processor", report.cpu);
  add("instruction set", report.isa);
  add("threads", report.threads > 0 ? std::to_string(report.threads) : std::string());
  add("KV cache", report.kv);
  return table;
}

}  // namespace sterna::eval::report
