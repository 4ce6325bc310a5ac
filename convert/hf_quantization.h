// The part of config.json that says how the linear layers are stored.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "convert/hf_config.h"
#include "runtime/result.h"

namespace sterna::convert {

// `bits_in_config`: the architecture is 1bitLLM's, whose own code reads weight_bits and input_bits (defaults
// 1 and 8) instead of quantization_config.
Result<Quantization> parse_quantization(const nlohmann::json& config, const std::string& path,
                                        bool bits_in_config);

}  // namespace sterna::convert
