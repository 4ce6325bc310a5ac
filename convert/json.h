// JSON from untrusted files: bounded depth, one-line errors, and duplicate keys told apart.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "runtime/result.h"

namespace sterna::convert {

// What a key that stands twice in one object means. Published configurations do have equal copies (the
// quantization_config of Llama3-8B-1.58); two different values leave open which one was meant.
enum class DuplicateKeys : std::uint8_t { equal_only, refuse };

// `where` names the file in messages. The document must be an object.
Result<nlohmann::json> parse_json_object(std::string_view text, const std::string& where,
                                         DuplicateKeys duplicates = DuplicateKeys::equal_only);

}  // namespace sterna::convert
