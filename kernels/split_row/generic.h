#pragma once

#include "kernels/split_row/codes.h"
#include "kernels/split_row/split_row.h"

namespace sterna::kernels {

// The 128 columns of a chunk.
template <Isa isa>
[[gnu::always_inline]] inline void split_chunk(const SplitRow& row, std::size_t chunks, std::size_t chunk,
                                               std::int8_t* out) {
  using Codes = SplitCodes<isa>;
  using Words = typename Codes::Words;
  prefetch_ahead(row.high + chunk * 64);  // rows that follow each other are read so
  if (chunk % 4 == 0) {
    prefetch_ahead(row.high + chunks * 64 + chunk * kPlaneChunk);
    for (const std::uint8_t* plane : row.planes) prefetch_ahead(plane + chunk * kPlaneChunk);
  }
  typename Codes::Bytes u[Codes::kVectors];
  Codes::high(row.high + chunk * 64, row.high + chunks * 64 + chunk * kPlaneChunk, u);
  Words planes[kSplitPlanes];
  for (std::size_t plane = 0; plane < kSplitPlanes; ++plane)
    planes[plane] = SplitOps<isa>::repeat(row.planes[plane] + chunk * kPlaneChunk);
  unrolled<Codes::kVectors>([&](auto i) __attribute__((always_inline)) {
    const Words high = reinterpret_cast<Words>(u[i]) << 3;
    const Words low = Codes::template bit<i>(planes[0]) >> 2 | Codes::template bit<i>(planes[1]) >> 3 |
                      Codes::template bit<i>(planes[2]) >> 4;
    const Words value = (high | low) ^ 0x80808080U;
    __builtin_memcpy(out + i * Codes::kBytes, &value, sizeof value);
  });
}

template <Isa isa>
void split_row(const SplitRow& row, std::size_t columns, std::int8_t* out) {
  const std::size_t chunks = round_up(columns, kSplitColumns) / kSplitColumns;
  const std::size_t whole = columns / kSplitColumns;
  for (std::size_t chunk = 0; chunk < whole; ++chunk)
    split_chunk<isa>(row, chunks, chunk, out + chunk * kSplitColumns);
  if (whole < chunks) {
    std::int8_t rest[kSplitColumns];
    split_chunk<isa>(row, chunks, whole, rest);
    __builtin_memcpy(out + whole * kSplitColumns, rest, columns - whole * kSplitColumns);
  }
}

}  // namespace sterna::kernels
