#include "eval/journal.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace sterna::eval {

using nlohmann::json;

Result<Journal> Journal::open(const std::string& path, bool resume, const std::string& settings) {
  Journal journal;
  journal.path_ = path;
  journal.settings_ = settings;
  if (resume) {
    std::ifstream lines(path);
    for (std::string line; std::getline(lines, line);) {
      const json entry = json::parse(line, nullptr, /*allow_exceptions=*/false);
      if (!entry.is_object() || !entry.contains("unit") || !entry.contains("result")) continue;
      if (!entry["unit"].is_string() || entry.value("settings", json()) != settings) continue;
      journal.done_[entry["unit"].get<std::string>()] = entry["result"];
    }
  }
  journal.file_.reset(std::fopen(path.c_str(), resume ? "a" : "w"));
  if (journal.file_ == nullptr) return fail("{}: cannot be written: {}", path, std::strerror(errno));
  // After a line that was cut the next one begins on its own.
  std::error_code ignored;
  if (resume && std::filesystem::file_size(path, ignored) > 0) std::fputc('\n', journal.file_.get());
  return journal;
}

const json* Journal::find(const std::string& unit) const {
  const auto found = done_.find(unit);
  return found == done_.end() ? nullptr : &found->second;
}

Status Journal::add(const std::string& unit, json result) {
  if (file_ == nullptr) return {};
  const std::string line = json{{"settings", settings_}, {"unit", unit}, {"result", result}}.dump(
      -1, ' ', false, json::error_handler_t::replace);
  if (std::fprintf(file_.get(), "%s\n", line.c_str()) < 0 || std::fflush(file_.get()) != 0) {
    return fail("{}: cannot be written: {}", path_, std::strerror(errno));
  }
  done_[unit] = std::move(result);
  return {};
}

}  // namespace sterna::eval
