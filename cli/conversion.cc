#include "cli/conversion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "runtime/cpu_count.h"

namespace sterna::cli {

void add_conversion_options(CLI::App& app, ConversionOptions& o) {
  app.add_option("-t,--threads", o.threads, "threads (default: the physical cores that this process may use)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--json", o.json, "print the summary as JSON");
  app.add_flag("-q,--quiet", o.quiet, "no summary, no notes, no progress");
}

Conversion::Conversion(const ConversionOptions& o)
    : pool_(o.threads == 0 ? runtime::usable_cores() : o.threads), line_(!o.quiet) {}

convert::ProgressSink Conversion::progress() {
  return [this](const convert::ConvertProgress& p) { line_->update(p.done, p.total, p.what); };
}

double Conversion::finish() {
  line_.reset();
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

double bits_per_weight(std::uint64_t bytes, std::uint64_t weights) {
  return weights == 0 ? 0.0 : 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
}

void print_conversion(const ConversionOptions& o, std::uint64_t file_bytes, std::uint64_t weights,
                      double seconds) {
  fmt::print("{}: {}, {} weights, {:.1f} s\n", o.output, human_bytes(file_bytes), weights, seconds);
}

void print_json(const nlohmann::ordered_json& summary) {
  fmt::print("{}\n", summary.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace sterna::cli
