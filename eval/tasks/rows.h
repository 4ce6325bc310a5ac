// The rows of a task's file, whatever form the file has.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/result.h"

namespace sterna::eval {

struct Row {
  std::size_t line = 0;   // at which it begins, from 1
  nlohmann::json fields;  // an object
};

// Reads a file of
//   * JSON lines, one object a line (blank lines are skipped),
//   * a JSON list of objects,
//   * HellaSwag's six-line text (context, index of the right ending, four endings), which becomes
//     {"context", "label", "endings"}.
// A name that ends in .bz2 is decompressed. Where rows have goal, sol1 and sol2 but no label, and a file with
// the same name and "-labels.lst" in place of ".jsonl" lies beside, its lines become the labels (PIQA's
// form). Errors: no such file, damaged, no row in it.
Result<std::vector<Row>> read_rows(const std::string& path);

// The same of a text; `where` names it in messages.
Result<std::vector<Row>> parse_rows(std::string_view text, const std::string& where);

// The whole of a file, decompressed if its name ends in .bz2. At most 1 GiB.
Result<std::string> read_text(const std::string& path);

}  // namespace sterna::eval
