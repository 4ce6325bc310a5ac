// What run and chat share: the options of a model and a session, and the three made from them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/result.h"
#include "runtime/sampler.h"
#include "runtime/session.h"
#include "runtime/thread_pool.h"

namespace CLI {
class App;
}

namespace sterna::cli {

struct EngineOptions {
  std::string model;
  std::uint32_t threads = 0;
  std::uint32_t context = 0;
  std::uint32_t batch = 128;
  std::string kv = "f16";
  bool pin = false;
  bool no_mmap = false;
  bool mlock = false;
  bool low_memory = false;
  bool no_verify = false;
  std::string storage = "file";
  runtime::SamplingOptions sampling;
  bool seed_given = false;
  bool batch_given = false;
  bool kv_given = false;

  void add_to(CLI::App& app);
};

// What --low-memory chooses where the user did not: activations of 32 instead of 128 tokens take 4 MiB
// instead of 17 in the shape of BitNet-b1.58-2B-4T, for 3 % of the speed of prefill; an int8 cache
// is half an f16 one (docs/performance.md has what it costs).
inline constexpr std::uint32_t kLowMemoryBatch = 32;
inline constexpr const char* kLowMemoryKv = "int8";

// The options --no-mmap, --mlock and --low-memory, the same for all commands that load a model.
void add_memory_options(CLI::App& app, bool& no_mmap, bool& mlock, bool& low_memory);

struct Engine {
  std::unique_ptr<runtime::ThreadPool> pool;
  std::shared_ptr<const runtime::Model> model;
  std::unique_ptr<runtime::Session> session;
  const char* isa = "";
  double load_seconds = 0;
};

// The kernels of this machine, or those that STERNA_ISA names.
Result<const kernels::Kernels*> choose_kernels();

// Model::lock_memory(), with a note on standard error where the system does not allow it.
void lock_memory(const runtime::Model& model);

// Loads the model and opens a session. Chooses a seed if none was given and writes it back.
Result<Engine> start_engine(EngineOptions& options);

}  // namespace sterna::cli
