#include "cli/engine.h"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <random>

#include "cli/storage.h"
#include "cli/terminal.h"
#include "kernels/registry.h"
#include "runtime/cpu_count.h"

namespace sterna::cli {

Result<const kernels::Kernels*> choose_kernels() {
  const char* forced = std::getenv("STERNA_ISA");
  const kernels::Kernels* table = kernels::select_kernels(forced == nullptr ? "" : forced);
  if (table != nullptr) return table;
  std::string names;
  for (const kernels::Kernels* k : kernels::all_kernels()) {
    if (kernels::supported(k->isa)) names += (names.empty() ? "" : ", ") + std::string(k->name);
  }
  return fail("STERNA_ISA={} is not an instruction set that this machine runs; it may be: {}",
              forced == nullptr ? "" : forced, names);
}

void add_memory_options(CLI::App& app, bool& no_mmap, bool& mlock, bool& low_memory) {
  CLI::Option* read = app.add_flag("--no-mmap", no_mmap,
                                   "read the file into memory, on huge pages, instead of mapping it: starts "
                                   "later, decodes a tenth faster");
  app.add_flag("--mlock", mlock, "keep the weights in physical memory (see `ulimit -l`)");
  app.add_flag("--low-memory", low_memory,
               "leave embedding and head in the file and read their rows when they are needed: a third less "
               "memory for a 2B model, decodes a third slower")
      ->excludes(read);
}

void lock_memory(const runtime::Model& model) {
  const Status locked = model.lock_memory();
  if (!locked) print_note("note: " + locked.error().message);
}

void EngineOptions::add_to(CLI::App& app) {
  app.add_option("model,-m,--model", model, "Sterna file, or Hugging Face directory to run as it is")
      ->required();
  app.add_option("-t,--threads", threads, "threads (default: the physical cores that this process may use)")
      ->check(CLI::Range(1, 1024));
  app.add_flag("--pin", pin, "keep each thread on one CPU");
  app.add_option("-c,--context", context, "positions of the context (default: the model's, at most 4096)");
  app.add_option("-b,--batch", batch, "tokens of one prefill step")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->each([this](const std::string&) { batch_given = true; });
  app.add_option("--kv", kv, "type of the KV cache; int8 halves f16 (docs/performance.md has its cost)")
      ->check(CLI::IsMember(runtime::kKvTypeNames))
      ->capture_default_str()
      ->each([this](const std::string&) { kv_given = true; });
  add_memory_options(app, no_mmap, mlock, low_memory);
  add_storage_option(app, storage);
  app.add_flag("--no-verify", no_verify, "do not compare the tensors with their checksums at start");
  app.add_option("--temp", sampling.temperature, "temperature, 0: greedy")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "keep the k most likely tokens, 0: all")->capture_default_str();
  app.add_option("--top-p", sampling.top_p, "keep the most likely tokens up to this probability, 1: all")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  app.add_option("--min-p", sampling.min_p,
                 "drop tokens below this share of the most likely one's probability, 0: none")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("-s,--seed", sampling.seed, "seed of the sampler (default: a new one each time)")
      ->each([this](const std::string&) { seed_given = true; });
}

Result<Engine> start_engine(EngineOptions& options) {
  STERNA_CHECK(runtime::validate(options.sampling));
  STERNA_TRY(const kernels::Kernels* table, choose_kernels());
  if (!options.seed_given) options.sampling.seed = std::random_device{}();
  if (options.low_memory && !options.batch_given) options.batch = kLowMemoryBatch;
  if (options.low_memory && !options.kv_given) options.kv = kLowMemoryKv;
  const auto start = std::chrono::steady_clock::now();
  Engine engine;
  engine.isa = table->name;
  engine.pool = std::make_unique<runtime::ThreadPool>(
      options.threads == 0 ? runtime::usable_cores() : options.threads, options.pin);
  runtime::LoadOptions load;
  load.map = !options.no_mmap;
  load.verify = !options.no_verify;
  load.low_memory = options.low_memory;
  STERNA_TRY(engine.model, load_stored_as(options.model, options.storage, load, *table, *engine.pool));
  if (options.mlock) lock_memory(*engine.model);
  runtime::Session::Options session;
  session.context = options.context;
  session.batch = options.batch;
  session.kv = runtime::kv_type_named(options.kv);
  STERNA_TRY(engine.session, runtime::Session::create(engine.model, session, *table, *engine.pool));
  engine.load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return engine;
}

}  // namespace sterna::cli
