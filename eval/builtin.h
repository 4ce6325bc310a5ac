// The texts that the binary brings along (eval/data), so that a model can be judged without a download.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/result.h"

namespace sterna::eval {

// A name like "builtin:english.txt"; none for other names.
std::optional<std::string_view> builtin_text(std::string_view name);

}  // namespace sterna::eval
