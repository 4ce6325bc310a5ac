// The angles of rotary position embedding, for whoever rotates: sessions and the graph of the converter.
#pragma once

#include <cstddef>
#include <span>

#include "runtime/config.h"

namespace sterna::runtime {

// Radians per position of each of the head_dim / 2 pairs.
void fill_rotary_frequencies(const ModelConfig& config, std::span<float> frequencies);

// cos and sin [frequencies.size()] of a position: the angle in float32, as the reference has it, its sine and
// cosine as exact as a float can hold.
void fill_rotary_row(std::span<const float> frequencies, std::size_t position, float* cos, float* sin);

}  // namespace sterna::runtime
