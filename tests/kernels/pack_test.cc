#include "kernels/ternary_matmul/pack.h"

#include "tests/kernels/support.h"

namespace sterna::kernels {
namespace {

std::vector<std::int8_t> random_weights(std::size_t n, std::size_t planes, std::uint64_t seed) {
  Random random(seed);
  std::vector<std::int8_t> values(n);
  for (auto& v : values)
    v = static_cast<std::int8_t>(random.integer(-max_weight(planes), max_weight(planes)));
  return values;
}

TernaryView view(std::size_t rows, std::size_t columns, std::size_t planes, const std::uint8_t* codes) {
  TernaryView w;
  w.rows = rows;
  w.columns = columns;
  w.planes = planes;
  w.codes = codes;
  return w;
}

// The image written out: 3 rows x 18 columns, one plane, so a full tile and one of two columns. Weights are
// named by their code (+ is 2, 0 is 1, - is 0) and everything not named is padding: code 1 in every field,
// 0x55.
TEST(PackTest, MemoryImageOfOnePlane) {
  const char* rows[3] = {
      "+000"
      "0000"
      "0000"
      "000-"
      "+-",
      "0+0-"
      "+0-0"
      "00++"
      "--00"
      "00",
      "----"
      "0000"
      "++++"
      "-+-+"
      "-0",
  };
  std::vector<std::int8_t> values;
  for (const char* row : rows) {
    for (; *row != '\0'; ++row) values.push_back(static_cast<std::int8_t>((*row == '+') - (*row == '-')));
  }
  std::vector<std::uint8_t> expected(128, 0x55);
  const std::uint8_t first_tile[12] = {
      // columns j, 4+j, 8+j, 12+j from the lowest bits upwards
      1 << 6 | 1 << 4 | 1 << 2 | 2,
      0x55,
      0x55,
      0 << 6 | 1 << 4 | 1 << 2 | 1,  // row 0
      0 << 6 | 1 << 4 | 2 << 2 | 1,
      0 << 6 | 1 << 4 | 1 << 2 | 2,  // row 1: columns 0,4,8,12 and 1,5,9,13
      1 << 6 | 2 << 4 | 0 << 2 | 1,
      1 << 6 | 2 << 4 | 1 << 2 | 0,  //        2,6,10,14 and 3,7,11,15
      0 << 6 | 2 << 4 | 1 << 2 | 0,
      2 << 6 | 2 << 4 | 1 << 2 | 0,  // row 2
      0 << 6 | 2 << 4 | 1 << 2 | 0,
      2 << 6 | 2 << 4 | 1 << 2 | 0,
  };
  std::copy(std::begin(first_tile), std::end(first_tile), expected.begin());
  expected[64 + 0] = 0x54 | 2;  // row 0, column 16: +
  expected[64 + 1] = 0x54 | 0;  // row 0, column 17: -
  expected[64 + 8] = 0x54 | 0;  // row 2, column 16: -

  std::vector<std::uint8_t> codes(packed_bytes(3, 18, 1), 0xFF);
  ASSERT_EQ(codes.size(), expected.size());
  pack_rows(values.data(), 3, 18, 1, codes.data());
  EXPECT_EQ(codes, expected);
}

// docs/kernels.md shows these sixteen weights and the four bytes.
TEST(PackTest, TheExampleOfTheDocumentation) {
  const std::int8_t values[2 * 16] = {0, 0, 0, 0,  0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0,  0,  //
                                      1, 0, 0, -1, 0, 1, 0, 0, -1, 0, 0, 1, 1, 0, -1, 0};
  std::uint8_t codes[64];
  pack_rows(values, 2, 16, 1, codes);
  EXPECT_EQ(std::vector<int>(codes + 4, codes + 8), (std::vector<int>{0x86, 0x59, 0x15, 0x64}));
}

// Planes: W = 9 T1 + 3 T2 + T3, coarsest first, 64 bytes apart. -13 is (-,-,-), 5 is (+,-,-), 13 is (+,+,+).
TEST(PackTest, MemoryImageOfThreePlanes) {
  const std::int8_t values[4] = {-13, 5, 13, 0};
  std::vector<std::uint8_t> codes(packed_bytes(1, 4, 3));
  pack_rows(values, 1, 4, 3, codes.data());
  std::vector<std::uint8_t> expected(192, 0x55);
  const std::uint8_t trits[3][4] = {{0, 2, 2, 1}, {0, 0, 2, 1}, {0, 0, 2, 1}};
  for (std::size_t plane = 0; plane < 3; ++plane) {
    for (std::size_t c = 0; c < 4; ++c) expected[64 * plane + c] = 0x54 | trits[plane][c];
  }
  EXPECT_EQ(codes, expected);
}

// The index equation of views.h, word for word, at every position.
TEST(PackTest, FollowsTheIndexEquation) {
  for (const std::size_t planes : {1, 2, 3}) {
    const std::size_t rows = 35;
    const std::size_t columns = 70;
    const auto values = random_weights(rows * columns, planes, planes);
    std::vector<std::uint8_t> codes(packed_bytes(rows, columns, planes));
    pack_rows(values.data(), rows, columns, planes, codes.data());
    const std::size_t tiles = 5;
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t column = 0; column < columns; ++column) {
        int weight = 0;
        for (std::size_t plane = 0; plane < planes; ++plane) {
          const std::size_t byte =
              ((row / 16 * tiles + column / 16) * planes + plane) * 64 + row % 16 * 4 + column % 4;
          weight = 3 * weight + ((codes[byte] >> (column % 16 / 4 * 2)) & 3) - 1;
        }
        ASSERT_EQ(weight, values[row * columns + column]) << row << "," << column;
      }
    }
  }
}

// The equations of the other forms, word for word.
TEST(PackTest, FollowsTheEquationsOfTheOtherForms) {
  const std::size_t rows = 35;
  const std::size_t columns = 70;
  for (const PackedForm& f : kPackedForms) {
    if (f.form == CodeForm::trit2) continue;
    const auto values = random_weights(rows * columns, f.planes, 7);
    std::vector<std::uint8_t> codes(packed_bytes(rows, columns, f.planes, f.form));
    pack_rows(values.data(), rows, columns, f.planes, codes.data(), f.form);
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t c = 0; c < columns; ++c) {
        const std::size_t lane = row % 16 * 4 + c % 4;
        int weight = 0;
        if (f.form == CodeForm::base3) {
          const int powers[] = {1, 3, 9, 27, 81};
          weight = codes[(row / 16 * 4 + c / 20) * 64 + lane] / powers[c % 20 / 4] % 3 - 1;
        } else if (f.form == CodeForm::pairs) {
          weight =
              (codes[((row / 16 * 5 + c / 16) * 2 + c % 16 / 8) * 64 + lane] >> (c % 8 / 4 * 4) & 15) - 4;
        } else {
          const std::size_t tile = (row / 16 * 3 + c / 32) * 320;
          const int low = codes[tile + c % 32 / 8 * 64 + lane] >> (c % 8 / 4 * 4) & 15;
          weight = low + 16 * (codes[tile + 256 + lane] >> (c % 32 / 4) & 1) - 13;
        }
        ASSERT_EQ(weight, values[row * columns + c]) << row << "," << c;
      }
    }
  }
}

TEST(PackTest, UnpackGivesBackWhatWasPacked) {
  for (const PackedForm& f : kPackedForms) {
    for (const std::size_t rows : {1, 15, 16, 17, 64, 100}) {
      for (const std::size_t columns : {1, 15, 16, 17, 37, 128, 129, 172}) {
        const auto values = random_weights(rows * columns, f.planes, rows * columns + f.planes);
        GuardedBuffer<std::uint8_t> codes(packed_bytes(rows, columns, f.planes, f.form), 0xFF);
        pack_rows(values.data(), rows, columns, f.planes, codes.data(), f.form);
        TernaryView w = view(rows, columns, f.planes, codes.data());
        w.form = f.form;
        EXPECT_FALSE(has_invalid_code(w));
        ASSERT_EQ(w.code_bytes(), codes.size());
        GuardedBuffer<std::int8_t> row(columns);
        GuardedBuffer<std::int8_t> block(std::min<std::size_t>(rows, 16) * columns);
        for (std::size_t r = 0; r < rows; ++r) {
          const auto* const expected = values.data() + r * columns;
          unpack_row(w, r, row.data());
          ASSERT_TRUE(std::equal(row.begin(), row.end(), expected));
          unpack_block(w, r / 16, block.data());
          ASSERT_TRUE(std::equal(row.begin(), row.end(), block.data() + r % 16 * columns));
        }
      }
    }
  }
}

TEST(PackTest, SlabsMakeTheSameBytesAsTheWhole) {
  const std::size_t rows = 50;
  const std::size_t columns = 33;
  for (const PackedForm& f : kPackedForms) {
    const auto values = random_weights(rows * columns, f.planes, 1);
    std::vector<std::uint8_t> whole(packed_bytes(rows, columns, f.planes, f.form));
    std::vector<std::uint8_t> slabs(whole.size());
    pack_rows(values.data(), rows, columns, f.planes, whole.data(), f.form);
    for (std::size_t row = 0; row < rows; row += 32) {
      pack_rows(values.data() + row * columns, std::min<std::size_t>(32, rows - row), columns, f.planes,
                slabs.data() + packed_bytes(row, columns, f.planes, f.form), f.form);
    }
    EXPECT_EQ(slabs, whole);
  }
}

// Every byte of a tile with the largest codes that there are, and with larger ones.
TEST(PackTest, FindsAnInvalidCodeAnywhere) {
  const std::size_t rows = 16;
  for (const PackedForm& f : kPackedForms) {
    const std::size_t columns = 3 * tile_columns(f.form);
    const std::vector<std::int8_t> values(rows * columns, static_cast<std::int8_t>(max_weight(f.planes)));
    std::vector<std::uint8_t> codes(packed_bytes(rows, columns, f.planes, f.form));
    pack_rows(values.data(), rows, columns, f.planes, codes.data(), f.form);
    TernaryView w = view(rows, columns, f.planes, codes.data());
    w.form = f.form;
    EXPECT_FALSE(has_invalid_code(w));
    const std::vector<unsigned> wrong = f.form == CodeForm::trit2
                                            ? std::vector<unsigned>{3, 3 << 2, 3 << 4, 3 << 6}
                                        : f.form == CodeForm::base3 ? std::vector<unsigned>{243, 255}
                                        : f.form == CodeForm::pairs ? std::vector<unsigned>{9, 9 << 4}
                                                                    : std::vector<unsigned>{15, 15 << 4};
    const std::size_t tile = tile_bytes(f.form, f.planes);
    for (std::size_t at = 0; at < codes.size(); ++at) {
      if (f.form == CodeForm::triples && at % tile >= 256) continue;  // high bits: any will do
      const std::uint8_t right = codes[at];
      for (const unsigned bits : wrong) {
        codes[at] = static_cast<std::uint8_t>(right | bits);
        EXPECT_TRUE(has_invalid_code(w)) << at;
        EXPECT_TRUE(has_invalid_code(w, at, at + 1)) << at;
        if (at >= tile) {
          EXPECT_FALSE(has_invalid_code(w, 0, tile)) << at;
        }
      }
      codes[at] = right;
    }
  }
}

TEST(PackTest, ScaleAtFollowsItsEquation) {
  const std::size_t rows = 20;
  const std::size_t columns = 300;
  TernaryView w = view(rows, columns, 1, nullptr);
  w.group = kGroupColumns;
  ASSERT_EQ(w.scale_count(), 2u * 3u * 16u);
  std::vector<float> scales(w.scale_count());
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = static_cast<float>(i);
  w.scales = scales.data();
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t c = 0; c < columns; ++c) {
      const std::size_t at = (r / 16 * 3 + c / 128) * 16 + r % 16;
      ASSERT_EQ(scale_at(w, r, c), static_cast<float>(at));
    }
  }
  const Float16Bits one_and_a_half = 0x3E00;
  w.group = 0;
  w.scale_type = ScaleType::f16;
  w.scales = &one_and_a_half;
  EXPECT_EQ(scale_at(w, 19, 299), 1.5f);
}

}  // namespace
}  // namespace sterna::kernels
