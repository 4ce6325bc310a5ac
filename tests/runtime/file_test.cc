#include "runtime/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>

#include "tests/support/shared_data.h"
#include "tests/support/temp_dir.h"

namespace sterna::runtime {
namespace {

using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST(File, ReadsAtOffsetsAndSaysWhereItEnds) {
  const testing::TempDir directory;
  directory.write("f", "0123456789");
  const auto file = File::open(directory.file("f"));
  ASSERT_TRUE(file);
  std::string part(4, ' ');
  EXPECT_TRUE(file->read_at(3, std::as_writable_bytes(std::span(part))));
  EXPECT_EQ(part, "3456");
  const Status past = file->read_at(8, std::as_writable_bytes(std::span(part)));
  ASSERT_FALSE(past);
  EXPECT_THAT(past.error().message, HasSubstr("ends at byte 10"));
  EXPECT_FALSE(file->read_at(~0ULL, std::as_writable_bytes(std::span(part))));
}

TEST(File, MissingUnreadableAndNoFileAtAllAreErrors) {
  const testing::TempDir directory;
  EXPECT_THAT(File::open(directory.file("missing")).error().message, HasSubstr("No such file"));
  EXPECT_THAT(File::open(directory.path()).error().message, HasSubstr("not a regular file"));
}

TEST(MappedFile, MappedAndReadAreTheSameBytes) {
  const testing::TempDir directory;
  directory.write("f", std::string(10000, 'x') + "end");
  for (const bool map : {true, false}) {
    const auto file = MappedFile::open(directory.file("f"), map);
    ASSERT_TRUE(file);
    EXPECT_EQ(file->bytes().size(), 10003U);
    EXPECT_EQ(static_cast<char>(file->bytes()[10002]), 'd');
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file->bytes().data()) % 64, 0U);
    file->drop(file->bytes().first(5000));
    EXPECT_EQ(static_cast<char>(file->bytes()[0]), 'x');
  }
  directory.write("empty", "");
  EXPECT_THAT(MappedFile::open(directory.file("empty")).error().message, HasSubstr("is empty"));
}

TEST(OutputFile, NothingIsUnderTheFinalNameBeforeCommit) {
  const testing::TempDir directory;
  const std::string path = directory.file("out");
  directory.write("out", "old");
  {
    auto file = OutputFile::create(path);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(bytes_of("new content")));
    EXPECT_EQ(testing::read_file(path), "old");
  }  // not committed
  EXPECT_EQ(testing::read_file(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
  auto file = OutputFile::create(path);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write(bytes_of("new content")));
  ASSERT_TRUE(file->write_at(4, bytes_of("CONTENT")));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(testing::read_file(path), "new CONTENT");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(OutputFile, AWriteErrorIsReportedAndCleanedUp) {
  std::signal(SIGXFSZ, SIG_IGN);
  const testing::TempDir directory;
  const std::string path = directory.file("out");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 4096;
  {
    auto file = OutputFile::create(path);
    ASSERT_TRUE(file);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const std::string large(10000, 'x');
    const Status status = file->write(bytes_of(large));
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_FALSE(status);
    EXPECT_THAT(status.error().message, HasSubstr("cannot write"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(OutputFile, ADirectoryThatIsNotThereIsNamed) {
  const testing::TempDir directory;
  const auto file = OutputFile::create(directory.file("no/such/out.gguf"));
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("no/such/out.gguf"));
}

}  // namespace
}  // namespace sterna::runtime
