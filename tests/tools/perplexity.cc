// sterna_perplexity MODEL TEXT: perplexity in fixed windows (runtime/perplexity.h) as JSON.
#include "runtime/perplexity.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "convert/hf_model.h"
#include "runtime/file.h"
#include "tests/support/utf8.h"

namespace {

struct Options {
  std::string model;
  std::string text;
  std::size_t characters = 0;
  std::size_t window = 512;
  std::string first = "keep";
  std::string kv = "f32";
  std::size_t threads = 2;
  bool parse_special = false;
  bool progress = false;
};

sterna::Result<nlohmann::json> measure(const Options& o) {
  using namespace sterna::runtime;
  const char* isa = std::getenv("STERNA_ISA");
  const auto* kernels = sterna::kernels::select_kernels(isa == nullptr ? "" : isa);
  if (kernels == nullptr) return sterna::fail("STERNA_ISA is not supported here");
  ThreadPool pool(o.threads);
  STERNA_TRY(const auto model, sterna::convert::load_model(o.model, {}, pool));
  Session::Options session_options;
  session_options.context = o.window;
  session_options.kv = sterna::runtime::kv_type_named(o.kv);
  STERNA_TRY(const auto session, Session::create(model, session_options, *kernels, pool));
  STERNA_TRY(const std::string text, read_text_file(o.text));
  const auto part =
      o.characters == 0 ? std::string_view(text) : sterna::testing::first_characters(text, o.characters);
  STERNA_TRY(const auto ids,
             model->tokenizer().encode(part, {.add_special = false, .parse_special = o.parse_special}));
  const auto first = o.first == "bos" ? std::optional<TokenId>(model->config().bos) : std::nullopt;
  STERNA_TRY(const Perplexity p,
             perplexity(*session, ids, o.window, first, [&](std::size_t done, std::size_t all) {
               if (o.progress) fmt::print(stderr, "\rwindow {} of {}", done + 1, all);
             }));
  return nlohmann::json{{"tokens", p.tokens},
                        {"windows", p.nll_per_window.size()},
                        {"scored_tokens", p.scored_tokens},
                        {"nll_per_window", p.nll_per_window},
                        {"perplexity", p.perplexity}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("perplexity of a text");
  Options o;
  app.add_option("model", o.model)->required();
  app.add_option("text", o.text)->required();
  app.add_option("--characters", o.characters, "use the first N characters; 0: all");
  app.add_option("--context", o.window, "tokens of a window");
  app.add_option("--first", o.first, "bos: replaces the first token of each window; keep")
      ->check(CLI::IsMember({"bos", "keep"}));
  app.add_option("--kv", o.kv);
  app.add_option("-t", o.threads);
  app.add_flag("--parse-special", o.parse_special);
  app.add_flag("--progress", o.progress);
  CLI11_PARSE(app, argc, argv);
  const auto result = measure(o);
  if (!result) {
    fmt::print("{}\n", nlohmann::json{{"error", result.error().message}}.dump());
    return 1;
  }
  fmt::print("{}\n", result->dump());
  return 0;
}
