#include "cli/cost.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "cli/conversion.h"
#include "cli/terminal.h"
#include "convert/inspect.h"

extern char** environ;

namespace sterna::cli {
namespace {

constexpr std::size_t kPrefillTokens = 256;
constexpr std::size_t kDecodeTokens = 64;

std::string reason(int error) { return std::generic_category().message(error); }

// Both ends of a pipe, closed when done with.
struct Pipe {
  std::array<int, 2> ends = {-1, -1};
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  void close_end(std::size_t i) {
    if (ends[i] >= 0) ::close(ends[i]);
    ends[i] = -1;
  }
};

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t n = ::read(descriptor, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

// The output of this program with other arguments; its stderr is ours.
Result<std::string> run_self(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "sterna");
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  Pipe pipe;
  if (::pipe2(pipe.ends.data(), O_CLOEXEC) != 0) return fail("cannot make a pipe: {}", reason(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe.ends[1], STDOUT_FILENO);
  pid_t child = 0;
  const int error = ::posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail("cannot start sterna bench: {}", reason(error));
  pipe.close_end(1);
  std::string output = read_all(pipe.ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (interrupted()) return fail("interrupted");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail("sterna bench did not measure the model's speed");
  return output;
}

eval::Estimate speed_of(const nlohmann::json& results, const char* count) {
  for (const nlohmann::json& row : results) {
    if (row.value(count, 0) == 0) continue;
    const auto samples = static_cast<double>(std::max<std::size_t>(row["samples"].size(), 1));
    return {row.value("tokens_per_second", 0.0), row.value("deviation", 0.0) / std::sqrt(samples)};
  }
  return {};
}

// Of matrices that are no embedding and no head: their share is the model's own.
Status add_sizes(const std::string& model, runtime::ThreadPool& pool, eval::Cost& cost) {
  STERNA_TRY(const convert::Inspection inspection, convert::inspect(model, /*verify=*/false, pool));
  cost.file_bytes = inspection.file_bytes;
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
  std::uint64_t all_weights = 0;
  std::uint64_t all_bytes = 0;
  for (const convert::InspectedTensor& t : inspection.tensors) {
    all_weights += t.weights;
    all_bytes += t.bytes;
    const auto names = {"token_embd", "embed_tokens", "lm_head", "output.weight"};
    const bool is_vocabulary = std::any_of(names.begin(), names.end(), [&](const char* name) {
      return t.name.find(name) != std::string::npos && t.name.find("attn_output") == std::string::npos;
    });
    if (t.shape.size() != 2 || is_vocabulary) continue;
    weights += t.weights;
    bytes += t.bytes;
  }
  cost.bits_per_weight = bits_per_weight(bytes, weights);
  cost.bits_per_weight_whole = bits_per_weight(all_bytes, all_weights);
  return {};
}

}  // namespace

Result<eval::Cost> measure_cost(const std::string& model, std::size_t context, std::size_t threads,
                                runtime::ThreadPool& pool) {
  eval::Cost cost;
  STERNA_CHECK(add_sizes(model, pool, cost));
  cost.prefill_tokens = std::min(kPrefillTokens, context);
  cost.decode_tokens = std::min(kDecodeTokens, context);
  STERNA_TRY(const std::string output, run_self({"bench", model, "-p", fmt::format("{}", cost.prefill_tokens),
                                                 "-n", fmt::format("{}", cost.decode_tokens), "-r", "3", "-t",
                                                 fmt::format("{}", threads), "-o", "json"}));
  const nlohmann::json json = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("results")) return fail("{}: sterna bench gave no numbers", model);
  cost.peak_resident_bytes = json.value("peak_resident_bytes", std::uint64_t{0});
  cost.load_seconds = json.value("load_seconds", 0.0);
  cost.prefill = speed_of(json["results"], "n_prompt");
  cost.decode = speed_of(json["results"], "n_gen");
  return cost;
}

}  // namespace sterna::cli
