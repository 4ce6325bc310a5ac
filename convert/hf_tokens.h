// Special tokens and the chat template of a model directory.
#pragma once

#include <nlohmann/json.hpp>

#include "convert/hf_config.h"
#include "runtime/result.h"

namespace sterna::convert {

// Fills the chat template, token texts, bos and stop tokens of `model`, whose config.vocab is known.
Status parse_tokens(const HfTexts& texts, const nlohmann::json& config, HfModel& model);

}  // namespace sterna::convert
