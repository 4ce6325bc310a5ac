// Files as the libraries use them: read in pieces at an offset, mapped read-only, or written beside their
// final name and renamed when whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/result.h"

namespace sterna::runtime {

// An open file that is read at offsets; safe to use from several threads.
class File {
 public:
  static Result<File> open(const std::string& path);
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File();

  [[nodiscard]] std::uint64_t size() const { return size_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  // Fills `out` from `offset`; an error when the file ends before that.
  Status read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  File(int descriptor, std::uint64_t size, std::string path);
  friend class MappedFile;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::string path_;
};

// The whole of a small file, for JSON and templates.
Result<std::string> read_text_file(const std::string& path, std::uint64_t limit = 1ULL << 30);

// A read-only image of a whole file: mapped, or (map = false) read into memory that this object owns, in huge
// pages where the system has them. The file's last page is padded with zeros by the kernel; an empty file is
// an error.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path, bool map = true);
  static Result<MappedFile> open(const File& file, bool map = true);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }
  [[nodiscard]] const std::string& path() const { return path_; }
  // Lets go of the memory of a part of bytes() that is not needed for now; it comes back from the file when
  // it is.
  void drop(std::span<const std::byte> part) const;

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  bool mapped_ = false;
  std::string path_;
};

// Writes `path`.partial and renames it to `path` in commit(), after fsync; without commit() the destructor
// removes it. A partial file that was left by a killed run is overwritten.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) = delete;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  [[nodiscard]] const std::string& partial_path() const { return partial_; }
  Status write(std::span<const std::byte> bytes);  // appends
  Status write_at(std::uint64_t offset,
                  std::span<const std::byte> bytes);  // overwrites, does not move the end
  [[nodiscard]] std::uint64_t position() const { return position_; }
  Status flush();   // everything written is on disk
  Status commit();  // flush and rename

 private:
  OutputFile(int descriptor, std::string path);
  int descriptor_ = -1;
  std::uint64_t position_ = 0;
  std::string path_;
  std::string partial_;
};

// A file without a name, for what does not fit into memory: it is gone with this object, by whatever end.
// Different parts may be used by different threads.
class ScratchFile {
 public:
  // `bytes` of zeros on the file system of `folder`.
  static Result<ScratchFile> create(const std::string& folder, std::uint64_t bytes);
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&&) = delete;
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ~ScratchFile();

  Status read_at(std::uint64_t offset, std::span<std::byte> out) const;
  Status write_at(std::uint64_t offset, std::span<const std::byte> bytes);

 private:
  ScratchFile(int descriptor, std::string folder);
  int descriptor_ = -1;
  std::string folder_;  // for messages
};

}  // namespace sterna::runtime
