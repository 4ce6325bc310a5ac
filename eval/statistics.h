// Standard errors, quantiles and paired tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "eval/results.h"

namespace sterna::eval {

// Mean and its standard error, s / sqrt(n) with the sample deviation s (n - 1); the error is 0 for n < 2.
// Values are taken as independent of each other. Sums are made pairwise, so the result does not depend on n's
// size; an empty span gives zeros.
Estimate mean_of(std::span<const double> values);

// The quantile by linear interpolation between order statistics (type 7 of Hyndman and Fan, 1996, what NumPy
// and R do) and the 95 % interval from the binomial distribution of ranks (normal approximation). `sorted`
// ascends and is not empty.
Quantile quantile_of(std::span<const double> sorted, double share);

// The accuracies of two models on the same items: McNemar's exact test (two-sided binomial test of the items
// on which they differ), and the difference with its error from a paired bootstrap over items (1,000
// resamples, fixed seed). The spans have the same size.
PairedTest paired_test(std::span<const std::uint8_t> baseline_right,
                       std::span<const std::uint8_t> model_right);

}  // namespace sterna::eval
