// A number hidden in a long text and asked for at its end, over the length of the text and the depth of the
// hiding place: what is left of a context that is long on paper.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "eval/contestant.h"
#include "eval/results.h"

namespace sterna::eval {

struct NeedleSpec {
  std::vector<std::size_t> lengths;  // tokens, the question among them
  std::vector<double> depths = {0, 0.25, 0.5, 0.75, 1};
  std::size_t trials = 3;  // different towns, numbers and texts for each length and depth
};

// For each model its cells, lengths outermost. A length that does not fit into a model's context is left out
// for it. A question is a unit of the journal. The text is filled with sentences of everyday life in English;
// the model goes on with "... The secret number of Lisbon is", greedily, and has found the number if it
// writes it next.
Result<std::vector<std::vector<NeedleCell>>> run_needle(std::span<Contestant> models, const NeedleSpec& spec,
                                                        const Surroundings& surroundings);

}  // namespace sterna::eval
