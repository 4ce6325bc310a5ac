// The largest products of a split matrix with one vector, in two passes: the high bits of all rows tell which
// of them can be among the largest, and only those are computed. No result differs from that of the whole
// product; kernels/screen/screen.h has the proof.
#pragma once

#include <cstddef>

#include "kernels/registry.h"
#include "runtime/activations.h"
#include "runtime/dense_rows.h"
#include "runtime/result.h"
#include "runtime/thread_pool.h"

namespace sterna::runtime {

// Are the `top` largest of w's products (0: all) few enough, and w's bits apart?
bool can_screen(const DenseRows& w, std::size_t top);

// y [w.count()]: the `top` largest elements of w x, those equal to the smallest of them, and perhaps others,
// with the bits that project_dense() gives; -infinity elsewhere. All of them when x is not finite. What was
// read is in scratch.head_reads. An error when the rows are in the file and cannot be read.
Status project_top(const kernels::Kernels& kernels, ThreadPool& pool, Activations& scratch,
                   const DenseRows& w, const float* x, std::size_t top, float* y);

// Bytes of w that such a product read.
std::uint64_t bytes_read(const DenseRows& w, const HeadReads& reads);

}  // namespace sterna::runtime
