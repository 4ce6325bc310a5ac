#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "cli/commands.h"
#include "cli/terminal.h"
#include "convert/inspect.h"
#include "runtime/cpu_count.h"

namespace sterna::cli {
namespace {

using convert::InspectedTensor;
using convert::Inspection;
using convert::TritCounts;

struct Options {
  std::string path;
  bool json = false;
  bool verify = false;
  std::uint32_t threads = 0;
};

struct Totals {
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
  TritCounts trits;
  std::map<std::uint64_t, std::uint64_t> planes;  // ternary matrices by their planes
};

double bits(std::uint64_t bytes, std::uint64_t weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

double share(std::uint64_t part, const TritCounts& t) {
  const std::uint64_t all = t.minus + t.zero + t.plus;
  return all == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(all);
}

Totals total(const Inspection& inspection) {
  Totals totals;
  for (const InspectedTensor& t : inspection.tensors) {
    totals.weights += t.weights;
    totals.bytes += t.bytes;
    if (t.planes != 0) ++totals.planes[t.planes];
    if (!t.trits) continue;
    totals.trits.minus += t.trits->minus;
    totals.trits.zero += t.trits->zero;
    totals.trits.plus += t.trits->plus;
  }
  return totals;
}

// "60 matrices with 1, 100 with 2, 50 with 3"
std::string planes_text(const Totals& totals) {
  std::string text;
  for (const auto& [planes, count] : totals.planes) {
    text += text.empty() ? fmt::format("{} matri{} with {}", count, count == 1 ? "x" : "ces", planes)
                         : fmt::format(", {} with {}", count, planes);
  }
  return text;
}

nlohmann::ordered_json planes_json(const Totals& totals) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const auto& [planes, count] : totals.planes) out[std::to_string(planes)] = count;
  return out;
}

nlohmann::ordered_json trits_json(const TritCounts& t) {
  return {{"minus", t.minus}, {"zero", t.zero}, {"plus", t.plus}};
}

void print_json(const Inspection& i) {
  const Totals totals = total(i);
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const InspectedTensor& t : i.tensors) {
    nlohmann::ordered_json row = {{"name", t.name},   {"type", t.type},
                                  {"shape", t.shape}, {"weights", t.weights},
                                  {"bytes", t.bytes}, {"bits_per_weight", bits(t.bytes, t.weights)}};
    if (t.planes != 0) row["planes"] = t.planes;
    if (t.trits) row["trits"] = trits_json(*t.trits);
    if (t.rotation_block != 0) row["rotation"] = {{"block", t.rotation_block}, {"seed", t.rotation_seed}};
    tensors.push_back(std::move(row));
  }
  const nlohmann::ordered_json out = {
      {"path", i.path},
      {"format", i.format},
      {"architecture", i.architecture},
      {"form", i.form},
      {"runnable", i.runnable.empty()},
      {"why_not", i.runnable},
      {"file_bytes", i.file_bytes},
      {"weights", totals.weights},
      {"bits_per_weight", bits(totals.bytes, totals.weights)},
      {"planes", planes_json(totals)},
      {"trits", trits_json(totals.trits)},
      {"metadata", i.metadata},
      {"chat_template", i.chat_template},
      {"tensors", std::move(tensors)},
  };
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string one_line(const nlohmann::ordered_json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  constexpr std::size_t kWidth = 96;
  if (text.size() <= kWidth) return text;
  std::size_t end = kWidth;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;  // not inside a character
  return text.substr(0, end) + "...";
}

void print_tensors(const Inspection& i) {
  std::size_t name_width = 6;
  std::size_t type_width = 4;
  for (const InspectedTensor& t : i.tensors) {
    name_width = std::max(name_width, t.name.size());
    type_width = std::max(type_width, t.type.size());
  }
  fmt::print("\n{:<{}}  {:<{}}  {:>16}  {:>10}  {:>7}  {}\n", "tensor", name_width, "type", type_width,
             "shape", "size", "bits/w", "-1 / 0 / +1");
  for (const InspectedTensor& t : i.tensors) {
    std::string shape;
    for (const std::uint64_t n : t.shape) shape += (shape.empty() ? "" : " x ") + std::to_string(n);
    std::string trits;
    if (t.trits) {
      trits = fmt::format("{:.1f} / {:.1f} / {:.1f} %", 100 * share(t.trits->minus, *t.trits),
                          100 * share(t.trits->zero, *t.trits), 100 * share(t.trits->plus, *t.trits));
    }
    fmt::print("{:<{}}  {:<{}}  {:>16}  {:>10}  {:>7.3f}  {}\n", t.name, name_width, t.type, type_width,
               shape, human_bytes(t.bytes), bits(t.bytes, t.weights), trits);
  }
}

void print_text(const Inspection& i) {
  const Totals totals = total(i);
  fmt::print("{}: {}\n", i.path, i.format);
  fmt::print("  architecture     {}{}\n", i.architecture, i.form.empty() ? "" : ", " + i.form);
  fmt::print("  runs here        {}\n", i.runnable.empty() ? "yes" : "no: " + i.runnable);
  fmt::print("  size             {}\n", human_bytes(i.file_bytes));
  fmt::print("  weights          {}, {:.3f} bits each\n", totals.weights, bits(totals.bytes, totals.weights));
  if (!totals.planes.empty()) fmt::print("  planes           {}\n", planes_text(totals));
  if (totals.trits.minus + totals.trits.zero + totals.trits.plus > 0) {
    fmt::print("  trits            {:.1f} % -1, {:.1f} % 0, {:.1f} % +1\n",
               100 * share(totals.trits.minus, totals.trits), 100 * share(totals.trits.zero, totals.trits),
               100 * share(totals.trits.plus, totals.trits));
  }
  fmt::print("\nmetadata\n");
  for (const auto& [key, value] : i.metadata.items()) fmt::print("  {:<44} {}\n", key, one_line(value));
  if (!i.chat_template.empty()) fmt::print("\nchat template\n{}\n", i.chat_template);
  print_tensors(i);
}

int run(const Options& o) {
  runtime::ThreadPool pool(o.threads == 0 ? runtime::usable_cores() : o.threads);
  const auto inspection = convert::inspect(o.path, o.verify, pool);
  if (!inspection) return print_error(inspection.error().message);
  if (o.json) {
    print_json(*inspection);
  } else {
    print_text(*inspection);
  }
  return 0;
}

}  // namespace

Command add_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("path", options->path, "a GGUF file, any producer's, or a Hugging Face directory")
      ->required();
  app.add_flag("--json", options->json, "print everything as JSON");
  app.add_flag("--verify", options->verify, "compare every tensor of a Sterna file with its checksum");
  app.add_option("-t,--threads", options->threads,
                 "threads (default: the physical cores that this process may use)")
      ->check(CLI::Range(1, 1024));
  app.footer("\nExample:\n  sterna inspect model.gguf --verify");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
