#include <editline/readline.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>

#include "cli/commands.h"
#include "cli/engine.h"
#include "cli/terminal.h"
#include "runtime/generate.h"
#include "runtime/prompt.h"

namespace sterna::cli {
namespace {

struct Options {
  EngineOptions engine;
  std::string system;
  std::uint32_t max_tokens = 0;  // 0: as many as the context holds
};

// A line of the user's; nullopt at the end of input.
std::optional<std::string> read_line(bool interactive) {
  if (!interactive) {
    std::string line;
    if (!std::getline(std::cin, line)) return std::nullopt;
    return line;
  }
  const std::unique_ptr<char, void (*)(void*)> line(readline("> "), std::free);
  if (line == nullptr) return std::nullopt;
  if (*line != '\0') add_history(line.get());
  return std::string(line.get());
}

class Chat {
 public:
  Chat(Engine& engine, const Options& options)
      : engine_(engine), options_(options), sampler_(options.engine.sampling) {
    if (!options.system.empty()) messages_.push_back({"system", options.system});
    system_messages_ = messages_.size();
  }

  // Answers one message on stdout. An error leaves the history as it was before the message.
  Status answer(const std::string& text) {
    messages_.push_back({"user", text});
    const auto generation = generate();
    if (!generation) {
      messages_.pop_back();
      return generation.error();
    }
    messages_.push_back({"assistant", generation->text});
    if (generation->finish == runtime::Finish::context) {
      print_note("note: the answer ends here because the context is full; -c sets a larger one");
    }
    return {};
  }

 private:
  Result<runtime::Generation> generate() {
    STERNA_TRY(const std::vector<runtime::TokenId> ids, fit_history());
    // What the session has already seen of this conversation stays in the KV cache.
    const auto common = static_cast<std::size_t>(
        std::mismatch(ids.begin(), ids.end(), seen_.begin(), seen_.end()).first - ids.begin());
    const std::size_t keep = std::min(common, ids.size() - 1);
    engine_.session->rewind(keep);
    seen_.assign(ids.begin(), ids.end());
    const std::size_t limit = options_.max_tokens == 0 ? engine_.session->context() : options_.max_tokens;
    TextOutput output(true);
    auto generation =
        runtime::generate(*engine_.session, std::span(ids).subspan(keep), limit, sampler_,
                          [&](std::string_view piece) { return output.write(piece) && !interrupted(); });
    if (!generation) {
      engine_.session->rewind(0);
      seen_.clear();
      return generation;
    }
    seen_.insert(seen_.end(), generation->tokens.begin(), generation->tokens.end());
    if (generation->end_token >= 0) seen_.push_back(generation->end_token);
    seen_.resize(std::min(seen_.size(), engine_.session->position()));
    return generation;
  }

  // The conversation as ids, with room for an answer: the oldest turns go first, whole, the system prompt
  // stays.
  Result<std::vector<runtime::TokenId>> fit_history() {
    const std::size_t room = std::max<std::size_t>(1, engine_.session->context() / 4);
    while (true) {
      STERNA_TRY(std::vector<runtime::TokenId> ids, runtime::encode_chat(*engine_.model, messages_, true));
      const std::size_t turns = messages_.size() - system_messages_;
      if (ids.empty()) return fail("the chat template of {} renders nothing", engine_.model->where());
      if (ids.size() + room <= engine_.session->context() ||
          (turns <= 1 && ids.size() < engine_.session->context())) {
        return ids;
      }
      if (turns <= 1) {
        return fail(
            "the message has {} tokens and does not fit into the context of {}; shorten it or use a larger "
            "-c",
            ids.size(), engine_.session->context());
      }
      const auto oldest = messages_.begin() + static_cast<std::ptrdiff_t>(system_messages_);
      messages_.erase(oldest, oldest + 2);  // a question and its answer
      print_note("note: the oldest turn was dropped, the context is full");
    }
  }

  Engine& engine_;
  const Options& options_;
  runtime::Sampler sampler_;
  std::vector<runtime::ChatMessage> messages_;
  std::size_t system_messages_ = 0;
  std::vector<runtime::TokenId> seen_;  // what is in the session
};

int run(Options& o) {
  const bool interactive = ::isatty(STDIN_FILENO) == 1;
  auto engine = start_engine(o.engine);
  if (!engine) return print_error(engine.error().message);
  if (const auto& chat_template = engine->model->chat_template(); !chat_template) {
    return print_error(chat_template.error().message + "; use `sterna run` for plain text");
  }
  Chat chat(*engine, o);
  if (interactive) {
    print_note(fmt::format("{}: {}, {} threads, {}. Ctrl-C stops an answer, Ctrl-D leaves.", o.engine.model,
                           engine->model->source(), engine->pool->size(), engine->isa));
  }
  while (auto line = read_line(interactive)) {
    if (!interactive && interrupted()) break;
    if (line->find_first_not_of(" \t\r") == std::string::npos) continue;
    const Status status = chat.answer(*line);
    std::fputc('\n', stdout);
    if (std::fflush(stdout) != 0) return print_error("cannot write to standard output");
    if (!status) {
      print_error(status.error().message);
      if (!interactive) return 1;
    }
    if (interactive) clear_interrupt();
  }
  return 0;
}

}  // namespace

Command add_chat(CLI::App& app) {
  auto options = std::make_shared<Options>();
  options->engine.add_to(app);
  app.add_option("--system", options->system, "system prompt");
  app.add_option("-n,--max-tokens", options->max_tokens,
                 "tokens of one answer at most (default: what the context holds)");
  app.footer(
      "\nExample:\n  sterna chat model.gguf --system \"You are terse.\"\n\n"
      "Where standard input is no terminal, each line is a message: it is answered on standard output, and "
      "the\n"
      "program ends with the input.");
  return [options] { return run(*options); };
}

}  // namespace sterna::cli
