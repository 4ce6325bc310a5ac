// Rotary embedding from config.json, in the form of either generation of transformers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "runtime/config.h"
#include "runtime/result.h"

namespace sterna::convert {

// transformers 5 writes `rope_parameters` {rope_theta, rope_type, ...}; before, rope_theta stood at the top
// and `rope_scaling` {rope_type or type, ...} beside it. A field that stands in two places must agree.
// `context` is max_position_embeddings, which llama3 scaling takes for an absent
// original_max_position_embeddings.
Result<runtime::RopeConfig> parse_rope(const nlohmann::json& config, const std::string& path,
                                       double default_theta, std::uint32_t context);

}  // namespace sterna::convert
