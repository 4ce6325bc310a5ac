#include "eval/evaluate.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "eval/tasks/run.h"
#include "runtime/format.h"

namespace sterna::eval {
namespace {

// "float", "1 plane", "1 to 3 planes"
std::string kind_of(const runtime::Model& model) {
  std::size_t fewest = ~std::size_t{0};
  std::size_t most = 0;
  for (const runtime::LayerWeights& layer : model.weights().layers) {
    for (const runtime::Linear* l :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      const std::size_t planes = l->weight.ternary ? l->weight.trits.planes : 0;
      fewest = std::min(fewest, planes);
      most = std::max(most, planes);
    }
  }
  if (most == 0) return "float";
  if (fewest == most) return most == 1 ? "1 plane" : fmt::format("{} planes", most);
  return fmt::format("{} to {} planes", fewest, most);
}

std::uint32_t vocabulary_checksum(const runtime::Tokenizer& tokenizer) {
  std::uint32_t crc = 0;
  constexpr char kEnd = 0;
  for (std::size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::string_view token = tokenizer.token(static_cast<runtime::TokenId>(id));
    crc = runtime::crc32_of(std::as_bytes(std::span(token.data(), token.size())), crc);
    crc = runtime::crc32_of(std::as_bytes(std::span(&kEnd, 1)), crc);
  }
  return crc;
}

std::string short_name(const std::string& path, std::span<const ModelResult> taken) {
  std::filesystem::path p(path);
  if (!p.has_filename()) p = p.parent_path();
  std::string stem = p.extension() == ".gguf" ? p.stem().string() : p.filename().string();
  if (stem.empty() || stem == "." || stem == "..") stem = path;
  std::string name = stem;
  const auto is_taken = [&] {
    return std::any_of(taken.begin(), taken.end(), [&](const ModelResult& m) { return m.name == name; });
  };
  if (is_taken()) name = p.filename().string();  // demo and demo.gguf
  for (int number = 2; is_taken(); ++number) name = fmt::format("{} ({})", stem, number);
  return name;
}

}  // namespace

ModelResult identify(const runtime::Model& model, const std::string& path, bool is_baseline,
                     std::span<const ModelResult> taken) {
  ModelResult m;
  m.name = short_name(path, taken);
  m.path = path;
  m.kind = kind_of(model);
  m.checksum = fmt::format("{:08x}", model.checksum());
  m.tokenizer = fmt::format("{:08x}", vocabulary_checksum(model.tokenizer()));
  m.is_baseline = is_baseline;
  return m;
}

ModelResult identify(const BaselineRecord& record, const std::string& path) {
  ModelResult m;
  m.name = fmt::format("{} (recorded)", record.name);
  m.path = path;
  m.kind = record.kind;
  m.checksum = record.checksum;
  m.tokenizer = record.tokenizer;
  m.is_baseline = true;
  return m;
}

Status evaluate(std::span<Contestant> contestants, const Suite& suite, const Surroundings& s,
                std::span<ModelResult> all, const TextRecord& record) {
  const std::span<ModelResult> models = all.last(contestants.size());
  // A task that cannot be read must not end hours of texts.
  std::vector<Task> tasks;
  tasks.reserve(suite.tasks.size());
  for (const TaskSpec& spec : suite.tasks) {
    STERNA_TRY(Task task, load_task(spec));
    tasks.push_back(std::move(task));
  }
  for (const TextSpec& text : suite.texts) {
    for (const Contestant& c : contestants) {
      if (text.protocol.window <= c.session->context()) continue;
      return fail(
          "text '{}': a window of {} tokens is longer than the context of {} that {} was made for; use a "
          "smaller window",
          text.name, text.protocol.window, c.session->context(), c.name);
    }
    STERNA_TRY(auto results, run_text(contestants, text, s, record));
    for (std::size_t m = 0; m < all.size(); ++m) all[m].texts.push_back(std::move(results[m]));
  }
  for (const Task& task : tasks) {
    STERNA_TRY(auto results, run_task(contestants, task, s));
    for (std::size_t m = 0; m < models.size(); ++m) models[m].tasks.push_back(std::move(results[m]));
  }
  for (const GenerationSpec& spec : suite.generations) {
    STERNA_TRY(auto results, run_generation(contestants, spec, s));
    for (std::size_t m = 0; m < models.size(); ++m) models[m].generations.push_back(std::move(results[m]));
  }
  if (suite.needle) {
    STERNA_TRY(auto cells, run_needle(contestants, *suite.needle, s));
    for (std::size_t m = 0; m < models.size(); ++m) models[m].needle = std::move(cells[m]);
  }
  return {};
}

}  // namespace sterna::eval
