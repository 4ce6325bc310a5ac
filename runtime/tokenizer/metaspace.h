// Metaspace writes spaces as a visible mark ('▁'); the pre-tokenizer and the decoder of that name share its
// options.
#pragma once

#include <string>

#include "runtime/result.h"
#include "runtime/tokenizer/json_fields.h"

namespace sterna::runtime::tokenization {

enum class MetaspacePrepend { kAlways, kFirst, kNever };  // which pieces get a mark in front

struct MetaspaceOptions {
  std::string replacement;  // one character
  MetaspacePrepend prepend = MetaspacePrepend::kAlways;
  bool split = true;
};

// `add_prefix_space: false`, from before there was prepend_scheme, means "never".
Result<MetaspaceOptions> parse_metaspace(const Field& field);

}  // namespace sterna::runtime::tokenization
