#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/engine.h"
#include "cli/terminal.h"
#include "runtime/generate.h"
#include "runtime/prompt.h"

namespace sterna::cli {
namespace {

struct Options {
  EngineOptions engine;
  std::string prompt;
  bool prompt_given = false;
  std::uint32_t max_tokens = 128;
  bool chat = false;
  bool json = false;
  bool verbose = false;
};

Result<std::vector<runtime::TokenId>> encode(const Options& o, const runtime::Model& model,
                                             const std::string& prompt) {
  if (!o.chat) return runtime::encode_text(model, prompt);
  const runtime::ChatMessage message{"user", prompt};
  return runtime::encode_chat(model, {&message, 1}, true);
}

void print_json(const Options& o, const Engine& engine, const std::string& prompt,
                const std::vector<runtime::TokenId>& ids, const runtime::Generation& g) {
  const auto rate = [](std::size_t tokens, double seconds) {
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
  };
  const nlohmann::ordered_json out = {
      {"model", o.engine.model},
      {"prompt", prompt},
      {"prompt_tokens", ids},
      {"text", g.text},
      {"tokens", g.tokens},
      {"finish", runtime::finish_name(g.finish)},
      {"seed", o.engine.sampling.seed},
      {"isa", engine.isa},
      {"threads", engine.pool->size()},
      {"load_seconds", engine.load_seconds},
      {"prefill_seconds", g.prefill_seconds},
      {"prefill_tokens_per_second", rate(g.prompt_tokens, g.prefill_seconds)},
      {"decode_seconds", g.decode_seconds},
      {"decode_tokens_per_second", rate(g.tokens.size(), g.decode_seconds)},
  };
  fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_statistics(const Options& o, const Engine& engine, const runtime::Generation& g) {
  print_note(fmt::format(
      "load {:.2f} s | prefill {} tokens in {:.2f} s | decode {} tokens in {:.2f} s ({:.1f} tokens/s) | "
      "finish: {} | {} threads, {} | seed {}",
      engine.load_seconds, g.prompt_tokens, g.prefill_seconds, g.tokens.size(), g.decode_seconds,
      g.decode_seconds > 0 ? static_cast<double>(g.tokens.size()) / g.decode_seconds : 0.0,
      runtime::finish_name(g.finish), engine.pool->size(), engine.isa, o.engine.sampling.seed));
}

int run(Options& o) {
  if (!o.prompt_given) o.prompt.assign(std::istreambuf_iterator<char>(std::cin), {});
  auto engine = start_engine(o.engine);
  if (!engine) return print_error(engine.error().message);
  const auto ids = encode(o, *engine->model, o.prompt);
  if (!ids) return print_error(ids.error().message);
  bool broken_pipe = false;
  TextOutput output(o.chat);
  runtime::Sampler sampler(o.engine.sampling);
  const auto generation =
      runtime::generate(*engine->session, *ids, o.max_tokens, sampler, [&](std::string_view piece) {
        if (!o.json) broken_pipe = !output.write(piece);
        return !broken_pipe && !interrupted();
      });
  if (!generation) return print_error(generation.error().message);
  if (o.json) {
    print_json(o, *engine, o.prompt, *ids, *generation);
  } else {
    std::fputc('\n', stdout);
  }
  if (std::fflush(stdout) != 0 || broken_pipe) return print_error("cannot write to standard output");
  if (o.verbose) print_statistics(o, *engine, *generation);
  if (generation->finish == runtime::Finish::context) {
    print_note(fmt::format("note: stopped because the context of {} tokens is full; -c sets a larger one",
                           engine->session->context()));
  }
  return 0;
}

}  // namespace

Command add_run(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->engine.add_to(app);
  app.add_option("-p,--prompt", options->prompt, "the text to continue (default: standard input)")
      ->each([o = options.get()](const std::string&) { o->prompt_given = true; });
  app.add_option("-n,--max-tokens", options->max_tokens, "tokens to generate at most")->capture_default_str();
  app.add_flag("--chat", options->chat,
               "put the prompt through the model's chat template, as one user message");
  app.add_flag("--json", options->json, "print prompt, answer, token ids and times as JSON");
  app.add_flag("-v,--verbose", options->verbose, "print times and speed on standard error");
  app.footer(
      "\nExample:\n  sterna run model.gguf -p \"Once upon a time\" -n 64 --temp 0\n\n"
      "The text goes to standard output, everything else to standard error.\n"
      "STERNA_ISA=avx2 (scalar, avxvnni, ...) forces an instruction set.");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
