// sterna: the only program, and with its commands the only code that prints.
#include <CLI/CLI.hpp>
#include <clocale>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/terminal.h"

namespace {

constexpr const char* kFooter = R"(
Examples:
  sterna convert ./bitnet-b1.58-2B-4T -o bitnet.gguf
  sterna chat bitnet.gguf
  sterna run bitnet.gguf -p "Once upon a time" -n 64
  sterna inspect bitnet.gguf
  sterna bench bitnet.gguf
  sterna eval a.gguf b.gguf --baseline ./SmolLM2-135M-Instruct --report out
  sterna export bitnet.gguf -o bitnet-tq2_0.gguf --to tq2_0

Each command explains itself: sterna convert --help)";

int run(int argc, char** argv) {
  CLI::App app{"Sterna: language models with ternary weights, converted and run on the CPU", "sterna"};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("sterna ") + STERNA_VERSION);
  app.require_subcommand(1);
  using Adder = sterna::cli::Command (*)(CLI::App&);
  std::vector<std::pair<CLI::App*, sterna::cli::Command>> commands;
  const auto add = [&](const char* name, const char* about, Adder adder) {
    CLI::App* command = app.add_subcommand(name, about);
    commands.emplace_back(command, adder(*command));
  };
  add("convert", "Convert a Hugging Face directory into a Sterna file", sterna::cli::add_convert);
  add("run", "Continue a text", sterna::cli::add_run);
  add("chat", "Talk with a model", sterna::cli::add_chat);
  add("inspect", "Show what is in a model file or directory", sterna::cli::add_inspect);
  add("bench", "Measure the speed of a model", sterna::cli::add_bench);
  add("eval", "Compare models with a float baseline: what did ternary cost?", sterna::cli::add_eval);
  add("export", "Write a Sterna file as a GGUF file for llama.cpp", sterna::cli::add_export);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const auto& [command, body] : commands) {
    if (command->parsed()) return body();
  }
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "");  // UTF-8 in line editing; numbers stay as C has them
  sterna::cli::catch_interrupts();
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return sterna::cli::print_error("out of memory; a smaller context (-c) or a smaller model needs less");
  } catch (const std::exception& error) {
    return sterna::cli::print_error(error.what());
  }
}
