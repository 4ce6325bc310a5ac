#include "runtime/tokenizer/metaspace.h"

#include <nlohmann/json.hpp>

#include "runtime/tokenizer/unicode.h"

namespace sterna::runtime::tokenization {

Result<MetaspaceOptions> parse_metaspace(const Field& field) {
  MetaspaceOptions options;
  STERNA_TRY(const char32_t mark, field["replacement"].character());
  append_utf8(options.replacement, mark);
  STERNA_TRY(const std::string scheme, field["prepend_scheme"].string_or("always"));
  STERNA_TRY(const bool prefix, field["add_prefix_space"].boolean_or(true));
  STERNA_TRY(options.split, field["split"].boolean_or(true));
  if (scheme == "first") {
    options.prepend = MetaspacePrepend::kFirst;
  } else if (scheme == "never") {
    options.prepend = MetaspacePrepend::kNever;
  } else if (scheme != "always") {
    return field["prepend_scheme"].unsupported("scheme", scheme, "always, first and never");
  }
  if (!prefix) {
    if (!field["prepend_scheme"].is_null() && options.prepend != MetaspacePrepend::kNever) {
      return field["add_prefix_space"].error("false contradicts the prepend_scheme beside it");
    }
    options.prepend = MetaspacePrepend::kNever;
  }
  return options;
}

}  // namespace sterna::runtime::tokenization
