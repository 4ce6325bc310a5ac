// What `convert` and `export` have in common: they make a file of weights from another, show how far they
// are, and sum up what they made.
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "cli/terminal.h"
#include "convert/convert.h"
#include "runtime/thread_pool.h"

namespace CLI {
class App;
}

namespace sterna::cli {

struct ConversionOptions {
  std::string source;
  std::string output;
  std::uint32_t threads = 0;
  bool json = false;
  bool quiet = false;
};

// -t, --json, -q
void add_conversion_options(CLI::App& app, ConversionOptions& o);

// The threads and the progress line of one conversion, and its time.
class Conversion {
 public:
  explicit Conversion(const ConversionOptions& o);
  [[nodiscard]] runtime::ThreadPool& pool() { return pool_; }
  [[nodiscard]] convert::ProgressSink progress();
  [[nodiscard]] ProgressLine& line() { return *line_; }  // until finish()
  double finish();                                       // clears the line; the seconds since the beginning

 private:
  using Clock = std::chrono::steady_clock;
  runtime::ThreadPool pool_;
  std::optional<ProgressLine> line_;
  Clock::time_point start_ = Clock::now();
};

double bits_per_weight(std::uint64_t bytes, std::uint64_t weights);

// The first line of the summary: the file, its size and the time.
void print_conversion(const ConversionOptions& o, std::uint64_t file_bytes, std::uint64_t weights,
                      double seconds);
void print_json(const nlohmann::ordered_json& summary);

}  // namespace sterna::cli
