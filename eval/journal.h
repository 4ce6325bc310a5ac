// What an evaluation has done so far, unit by unit (a window of a text, an item of a task, an answer), so
// that an interrupted run can go on: a file of one JSON object a line, appended and flushed as units are
// done. A line that was cut by a kill is ignored.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/result.h"

namespace sterna::eval {

class Journal {
 public:
  Journal() = default;  // remembers nothing

  // Opens `path`, reads what is there with `resume`, else begins anew. The caller puts everything that a
  // unit's result depends on into its name (the model's checksum, the text's checksum, the protocol, the
  // index).
  // Entries that were made under other `settings` (the type of the KV cache, say) do not count.
  static Result<Journal> open(const std::string& path, bool resume, const std::string& settings = "");

  // nullptr: not done yet.
  [[nodiscard]] const nlohmann::json* find(const std::string& unit) const;
  Status add(const std::string& unit, nlohmann::json result);
  [[nodiscard]] std::size_t size() const { return done_.size(); }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::map<std::string, nlohmann::json, std::less<>> done_;
  std::unique_ptr<std::FILE, Close> file_;
  std::string path_;
  std::string settings_;
};

}  // namespace sterna::eval
