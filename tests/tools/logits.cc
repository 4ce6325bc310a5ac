// sterna_logits MODEL: reads JSON lines {"ids": [...]} and prints {"logits": [[...], ...]}, a row per token,
// or {"error": "..."}.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>

#include "convert/hf_model.h"
#include "runtime/session.h"

namespace {

using nlohmann::json;

json logits_of(sterna::runtime::Session& session, const json& request) {
  const auto ids = request.at("ids").get<std::vector<sterna::runtime::TokenId>>();
  json rows = json::array();
  session.rewind(0);
  const auto status =
      session.append(ids, [&](std::size_t, std::span<const float> logits) { rows.push_back(logits); });
  if (!status) return {{"error", status.error().message}};
  return {{"logits", std::move(rows)}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("logits for token ids");
  std::string path;
  std::string kv = "f32";
  std::size_t threads = 2;
  sterna::runtime::Session::Options options;
  app.add_option("model", path)->required();
  app.add_option("--kv", kv);
  app.add_option("-t", threads);
  app.add_option("--batch", options.batch);
  CLI11_PARSE(app, argc, argv);
  options.kv = sterna::runtime::kv_type_named(kv);
  const char* isa = std::getenv("STERNA_ISA");
  const auto* kernels = sterna::kernels::select_kernels(isa == nullptr ? "" : isa);
  if (kernels == nullptr) return 2;
  sterna::runtime::ThreadPool pool(threads);
  auto model = sterna::convert::load_model(path, {}, pool);
  if (!model) {
    fmt::print("{}\n", json{{"error", model.error().message}}.dump());
    return 1;
  }
  auto session = sterna::runtime::Session::create(*model, options, *kernels, pool);
  if (!session) {
    fmt::print("{}\n", json{{"error", session.error().message}}.dump());
    return 1;
  }
  std::string line;
  while (std::getline(std::cin, line)) fmt::print("{}\n", logits_of(**session, json::parse(line)).dump());
  return 0;
}
