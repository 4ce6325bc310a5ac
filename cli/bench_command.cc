#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.h"
#include "cli/engine.h"
#include "cli/storage.h"
#include "cli/terminal.h"
#include "convert/save.h"
#include "runtime/benchmark.h"
#include "runtime/cpu_count.h"
#include "runtime/storage.h"
#include "runtime/synthetic.h"

namespace sterna::cli {
namespace {

using nlohmann::ordered_json;
using runtime::Profile;
using runtime::SpeedResult;
using runtime::SpeedTest;

struct Options {
  std::string model;
  std::string synthetic;
  bool rotated = false;  // the synthetic model
  std::string save;
  std::string storage = "file";
  std::vector<std::size_t> prompts = {512};
  std::vector<std::size_t> generates = {128};
  std::vector<std::size_t> both;  // prompt, generate
  std::vector<std::size_t> depths = {0};
  std::vector<std::size_t> threads;
  std::size_t repetitions = 5;
  std::size_t batch = 128;
  std::string kv = "f16";
  std::string format = "md";
  bool kv_given = false;
  bool batch_given = false;
  bool no_mmap = false;
  bool mlock = false;
  bool low_memory = false;
  bool profile = false;
};

struct Row {
  SpeedTest test;
  std::size_t threads = 0;
  SpeedResult speed;
  std::uint64_t bytes_per_token = 0;  // of a test that only decodes, else 0
  std::optional<Profile> profile;     // of one more repetition

  [[nodiscard]] double gigabytes() const {
    return static_cast<double>(bytes_per_token) * speed.mean() * 1e-9;
  }
};

struct Report {
  std::string model;
  std::uint64_t weight_bytes = 0;
  std::string cpu;
  std::string isa;
  double load_seconds = 0;
  std::vector<Row> rows;
};

// Of this program: getrusage() would count what its parent had, too, where that started it without a copy of
// itself (posix_spawn, Python's subprocess), because the kernel carries the peak over an exec.
std::uint64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view kPeak = "VmHWM:";
    if (line.starts_with(kPeak)) return std::strtoull(line.c_str() + kPeak.size(), nullptr, 10) * 1024;
  }
  return 0;
}

std::vector<SpeedTest> tests_of(const Options& o) {
  std::vector<SpeedTest> tests;
  for (const std::size_t depth : o.depths) {
    for (const std::size_t n : o.prompts) {
      if (n > 0) tests.push_back({n, 0, depth});
    }
    for (const std::size_t n : o.generates) {
      if (n > 0) tests.push_back({0, n, depth});
    }
    if (o.both.size() == 2) tests.push_back({o.both[0], o.both[1], depth});
  }
  return tests;
}

Result<runtime::Model::Parts> synthetic_parts(const Options& o, const kernels::Kernels& table,
                                              runtime::ThreadPool& pool) {
  STERNA_TRY(runtime::Model::Parts parts, runtime::synthetic_parts(o.synthetic, pool, o.rotated));
  if (o.storage == "file") return parts;
  STERNA_TRY(const runtime::Storage storage, wanted_storage(o.storage, table, pool));
  STERNA_CHECK(runtime::repack(parts, storage, pool));
  return parts;
}

Result<std::shared_ptr<const runtime::Model>> load(const Options& o, const kernels::Kernels& table,
                                                   runtime::ThreadPool& pool) {
  if (!o.synthetic.empty()) {
    STERNA_TRY(runtime::Model::Parts parts, synthetic_parts(o, table, pool));
    std::string name = parts.config.name;
    return runtime::Model::create(std::move(parts), std::move(name));
  }
  const runtime::LoadOptions options{.map = !o.no_mmap, .verify = true, .low_memory = o.low_memory};
  return load_stored_as(o.model, o.storage, options, table, pool);
}

Result<Row> measure(const Options& o, const std::shared_ptr<const runtime::Model>& model,
                    const SpeedTest& test, const kernels::Kernels& table, runtime::ThreadPool& pool) {
  const kernels::KvType kv = runtime::kv_type_named(o.kv);
  if (test.context() > model->config().context) {
    return fail("{} needs a context of {} tokens, but the model was made for {}; use a smaller -p, -n or -d",
                test.name(), test.context(), model->config().context);
  }
  STERNA_TRY(auto session, runtime::Session::create(
                               model, {.context = test.context(), .kv = kv, .batch = o.batch}, table, pool));
  Row row{.test = test, .threads = pool.size(), .speed = {}, .bytes_per_token = 0, .profile = {}};
  if (o.profile) row.profile.emplace(model->config().layers);
  STERNA_TRY(row.speed,
             runtime::measure_speed(*session, test, o.repetitions, row.profile ? &*row.profile : nullptr));
  if (test.prompt == 0) {
    // Halfway through the test the context is this deep.
    row.bytes_per_token =
        runtime::bytes_per_token(*model, test.depth + test.generate / 2, kv, row.speed.head_bytes);
  }
  return row;
}

Result<Report> measure_all(const Options& o) {
  STERNA_TRY(const kernels::Kernels* table, choose_kernels());
  Report report;
  report.cpu = runtime::cpu_name();
  report.isa = table->name;
  const auto start = std::chrono::steady_clock::now();
  std::shared_ptr<const runtime::Model> model;
  {
    runtime::ThreadPool pool(runtime::usable_cores());
    STERNA_TRY(model, load(o, *table, pool));
  }
  if (o.mlock) lock_memory(*model);
  report.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.model = o.synthetic.empty() ? o.model : model->config().name;
  report.weight_bytes = model->weight_bytes();
  const std::vector<SpeedTest> tests = tests_of(o);
  const std::vector<std::size_t> threads =
      o.threads.empty() ? std::vector{runtime::usable_cores()} : o.threads;
  ProgressLine progress;
  for (const std::size_t count : threads) {
    runtime::ThreadPool pool(count);
    for (const SpeedTest& test : tests) {
      if (interrupted()) return fail("interrupted");
      progress.update(report.rows.size(), tests.size() * threads.size(), test.name());
      STERNA_TRY(Row row, measure(o, model, test, *table, pool));
      report.rows.push_back(std::move(row));
    }
  }
  return report;
}

ordered_json profile_json(const Profile& profile) {
  ordered_json steps = ordered_json::object();
  for (std::size_t i = 0; i < runtime::kStepNames.size(); ++i) {
    ordered_json layers = ordered_json::array();
    for (const Profile::Seconds& layer : profile.layers) layers.push_back(layer[i]);
    const auto step = static_cast<runtime::Step>(i);
    steps[runtime::kStepNames[i]] = {{"seconds", profile.total(step)}, {"layers", std::move(layers)}};
  }
  return steps;
}

void print_json(const Options& o, const Report& report) {
  ordered_json rows = ordered_json::array();
  for (const Row& row : report.rows) {
    ordered_json json = {{"test", row.test.name()},
                         {"n_prompt", row.test.prompt},
                         {"n_gen", row.test.generate},
                         {"n_depth", row.test.depth},
                         {"threads", row.threads},
                         {"tokens_per_second", row.speed.mean()},
                         {"deviation", row.speed.deviation()},
                         {"samples", row.speed.tokens_per_second}};
    if (row.bytes_per_token != 0) {
      json["bytes_per_token"] = row.bytes_per_token;
      json["head_rows_per_token"] = row.speed.head_rows;
      json["gigabytes_per_second"] = row.gigabytes();
    }
    if (row.profile) json["profile"] = profile_json(*row.profile);
    rows.push_back(std::move(json));
  }
  const ordered_json out = {{"model", report.model},
                            {"weight_bytes", report.weight_bytes},
                            {"cpu", report.cpu},
                            {"isa", report.isa},
                            {"kv", o.kv},
                            {"batch", o.batch},
                            {"load_seconds", report.load_seconds},
                            {"peak_resident_bytes", peak_resident_bytes()},
                            {"results", std::move(rows)}};
  fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

void print_csv(const Report& report) {
  fmt::print(
      "model,isa,threads,n_prompt,n_gen,n_depth,tokens_per_second,deviation,bytes_per_token,"
      "gigabytes_per_second\n");
  for (const Row& row : report.rows) {
    fmt::print("\"{}\",{},{},{},{},{},{:.3f},{:.3f},{},{:.3f}\n", report.model, report.isa, row.threads,
               row.test.prompt, row.test.generate, row.test.depth, row.speed.mean(), row.speed.deviation(),
               row.bytes_per_token, row.gigabytes());
  }
}

void print_profile(const Row& row) {
  double all = 0;
  double products = 0;
  for (std::size_t i = 0; i < runtime::kStepNames.size(); ++i) {
    const auto step = static_cast<runtime::Step>(i);
    all += row.profile->total(step);
    if (runtime::is_product(step)) products += row.profile->total(step);
  }
  fmt::print("\n{}, {} threads: where the time goes\n\n| step | share |\n|---|---:|\n", row.test.name(),
             row.threads);
  for (std::size_t i = 0; i < runtime::kStepNames.size(); ++i) {
    fmt::print("| {} | {:.1f} % |\n", runtime::kStepNames[i],
               100 * row.profile->total(static_cast<runtime::Step>(i)) / all);
  }
  fmt::print("| outside of matrix products | {:.1f} % |\n", 100 * (all - products) / all);
}

void print_markdown(const Report& report) {
  fmt::print(
      "| model | size | isa | threads | test | tokens/s | GB/s |\n|---|---:|---|---:|---|---:|---:|\n");
  for (const Row& row : report.rows) {
    fmt::print("| {} | {} | {} | {} | {} | {:.2f} ± {:.2f} | {} |\n", report.model,
               human_bytes(report.weight_bytes), report.isa, row.threads, row.test.name(), row.speed.mean(),
               row.speed.deviation(), row.bytes_per_token == 0 ? "" : fmt::format("{:.1f}", row.gigabytes()));
  }
  for (const Row& row : report.rows) {
    if (row.profile) print_profile(row);
  }
  fmt::print("\n{}; load {:.2f} s, peak resident {}", report.cpu, report.load_seconds,
             human_bytes(peak_resident_bytes()));
  for (const Row& row : report.rows) {
    if (row.bytes_per_token == 0) continue;
    fmt::print(", {:.1f} MB read and {:.0f} rows of the head computed for a token",
               static_cast<double>(row.bytes_per_token) * 1e-6, row.speed.head_rows);
    break;
  }
  fmt::print("\n");
}

// The random model as a file, instead of measuring it.
int save(const Options& o) {
  const auto size = [&]() -> Result<std::uint64_t> {
    STERNA_TRY(const kernels::Kernels* table, choose_kernels());
    runtime::ThreadPool pool(runtime::usable_cores());
    STERNA_TRY(const runtime::Model::Parts parts, synthetic_parts(o, *table, pool));
    ProgressLine line;
    return convert::save_model(
        parts, o.save, [&](const convert::ConvertProgress& p) { line.update(p.done, p.total, p.what); },
        [] { return interrupted(); });
  }();
  if (!size) return print_error(size.error().message);
  fmt::print("{}: {}, random trits\n", o.save, human_bytes(*size));
  return 0;
}

int run(Options& o) {
  if (o.model.empty() == o.synthetic.empty()) {
    print_error("give either a model or --synthetic SHAPE");
    return 2;
  }
  if (!o.save.empty()) return save(o);
  if (!o.both.empty() && o.both.size() != 2) {
    print_error("--pg wants two numbers: prompt,generate");
    return 2;
  }
  if (o.low_memory && !o.synthetic.empty()) {
    print_error("--low-memory needs a model file: a synthetic model is nowhere but in memory");
    return 2;
  }
  if (o.low_memory && !o.batch_given) o.batch = kLowMemoryBatch;
  if (o.low_memory && !o.kv_given) o.kv = kLowMemoryKv;
  const auto report = measure_all(o);
  if (!report) return print_error(report.error().message);
  if (o.format == "json") {
    print_json(o, *report);
  } else if (o.format == "csv") {
    print_csv(*report);
  } else {
    print_markdown(*report);
  }
  if (std::fflush(stdout) != 0) return print_error("cannot write to standard output");
  return 0;
}

}  // namespace

Command add_bench(CLI::App& app) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  const auto count = CLI::Range(std::size_t{0}, std::size_t{1} << 20);
  app.add_option("model,-m,--model", o.model, "Sterna file, or Hugging Face directory");
  CLI::Option* synthetic = app.add_option(
      "--synthetic", o.synthetic, "a random model of this shape instead, in memory: 2b-4t, 0.7b, 3b or 8b");
  app.add_flag("--synthetic-rotation", o.rotated, "with input rotations, as calibrated conversion makes them")
      ->needs(synthetic);
  app.add_option("--save", o.save, "write the random model to this file and measure nothing")
      ->needs(synthetic);
  add_storage_option(app, o.storage);
  app.add_option("-p,--n-prompt", o.prompts, "pp: tokens of a prefill (0: none)")
      ->delimiter(',')
      ->check(count)
      ->capture_default_str();
  app.add_option("-n,--n-gen", o.generates, "tg: tokens to decode (0: none)")
      ->delimiter(',')
      ->check(count)
      ->capture_default_str();
  app.add_option("--pg", o.both, "prefill and decode in one test: 512,128")->delimiter(',')->check(count);
  app.add_option("-d,--n-depth", o.depths, "tokens in the context before a test")
      ->delimiter(',')
      ->check(count)
      ->capture_default_str();
  app.add_option("-t,--threads", o.threads, "threads (default: the physical cores that this process may use)")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  app.add_option("-r,--repetitions", o.repetitions, "timed repetitions of each test")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("-b,--batch", o.batch, "tokens of one prefill step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->each([&o](const std::string&) { o.batch_given = true; });
  app.add_option("--kv", o.kv, "type of the KV cache")
      ->check(CLI::IsMember(runtime::kKvTypeNames))
      ->capture_default_str()
      ->each([&o](const std::string&) { o.kv_given = true; });
  app.add_option("-o,--output", o.format, "md, csv or json")
      ->check(CLI::IsMember({"md", "csv", "json"}))
      ->capture_default_str();
  add_memory_options(app, o.no_mmap, o.mlock, o.low_memory);
  app.add_flag("--profile", o.profile, "also show where the time goes (one more run of each test)");
  app.footer(
      "\nExample:\n  sterna bench model.gguf -p 512 -n 128 -d 0,4096 -t 1,2\n\n"
      "STERNA_ISA forces an instruction set. GB/s: bytes that a decoded token reads, times tokens per "
      "second. A token asks for the logits that the default sampler looks at, the 40 largest: of an int8 "
      "head "
      "whose bits lie apart that is less than all.");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
