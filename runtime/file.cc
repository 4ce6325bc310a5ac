#include "runtime/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

namespace sterna::runtime {
namespace {

// One read or write call moves at most this much: Linux stops at 2 GiB, and smaller pieces let Ctrl-C
// through.
constexpr std::size_t kPiece = 64U << 20;

std::string reason(int error) { return std::generic_category().message(error); }

// consequence: what the failure means for what is on disk
Status write_all(int descriptor, std::span<const std::byte> bytes, std::int64_t offset,
                 const std::string& path,
                 const char* consequence = "; nothing was changed under the final name") {
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kPiece);
    const ssize_t n = offset < 0 ? ::write(descriptor, bytes.data(), piece)
                                 : ::pwrite(descriptor, bytes.data(), piece, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      return fail("{}: cannot write: {}{}", path, reason(n < 0 ? errno : ENOSPC), consequence);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    if (offset >= 0) offset += n;
  }
  return {};
}

Status read_all(int descriptor, std::uint64_t offset, std::span<std::byte> out, const std::string& path) {
  while (!out.empty()) {
    const ssize_t n =
        ::pread(descriptor, out.data(), std::min(out.size(), kPiece), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail("{}: cannot read at byte {}: {}", path, offset, reason(errno));
    if (n == 0) return fail("{}: became shorter while it was read, at byte {}", path, offset);
    out = out.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

// --- File ---------------------------------------------------------------------------------------------

File::File(int descriptor, std::uint64_t size, std::string path)
    : descriptor_(descriptor), size_(size), path_(std::move(path)) {}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<File> File::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return fail("{}: cannot open: {}", path, reason(errno));
  struct stat info {};
  if (::fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return fail("{}: is not a regular file", path);
  }
  return File(descriptor, static_cast<std::uint64_t>(info.st_size), path);
}

Status File::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return fail("{}: ends at byte {}, but bytes {} to {} are needed; the file is truncated", path_, size_,
                offset, offset + out.size());
  }
  return read_all(descriptor_, offset, out, path_);
}

Result<std::string> read_text_file(const std::string& path, std::uint64_t limit) {
  STERNA_TRY(const File file, File::open(path));
  if (file.size() > limit) return fail("{}: is {} bytes, at most {} are expected", path, file.size(), limit);
  std::string text(file.size(), '\0');
  STERNA_CHECK(file.read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

// --- MappedFile ---------------------------------------------------------------------------------------

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(other.mapped_),
      path_(std::move(other.path_)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(mapped_, other.mapped_);
  std::swap(path_, other.path_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ == nullptr) return;
  auto* data = const_cast<std::byte*>(data_);
  ::munmap(data, size_);
}

Result<MappedFile> MappedFile::open(const std::string& path, bool map) {
  STERNA_TRY(const File file, File::open(path));
  return open(file, map);
}

Result<MappedFile> MappedFile::open(const File& file, bool map) {
  const std::string& path = file.path();
  if (file.size() == 0) return fail("{}: is empty", path);
  MappedFile image;
  image.path_ = path;
  image.size_ = file.size();
  image.mapped_ = map;
  if (map) {
    void* data = ::mmap(nullptr, image.size_, PROT_READ, MAP_SHARED, file.descriptor_, 0);
    if (data == MAP_FAILED) {  // NOLINT(performance-no-int-to-ptr)
      return fail("{}: cannot map {} bytes: {}; try --no-mmap", path, image.size_, reason(errno));
    }
    image.data_ = static_cast<const std::byte*>(data);
    return image;
  }
  void* data = ::mmap(nullptr, image.size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {  // NOLINT(performance-no-int-to-ptr)
    return fail("{}: no memory for its {} bytes; leave out --no-mmap", path, image.size_);
  }
  image.data_ = static_cast<const std::byte*>(data);
  // Advice: where there are no huge pages, small ones will do.
  ::madvise(data, image.size_, MADV_HUGEPAGE);
  STERNA_CHECK(file.read_at(0, {static_cast<std::byte*>(data), image.size_}));
  return image;
}

void MappedFile::drop(std::span<const std::byte> part) const {
  if (!mapped_) return;
  // Whole pages only; a page that is shared with a neighbouring tensor is read again if it was dropped too
  // early.
  constexpr std::uintptr_t kPage = 4096;
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data()) / kPage * kPage;
  const auto end = reinterpret_cast<std::uintptr_t>(part.data() + part.size());
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT(performance-no-int-to-ptr)
}

// --- OutputFile ---------------------------------------------------------------------------------------

OutputFile::OutputFile(int descriptor, std::string path)
    : descriptor_(descriptor), path_(std::move(path)), partial_(path_ + ".partial") {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      position_(other.position_),
      path_(std::move(other.path_)),
      partial_(std::move(other.partial_)) {}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(partial_.c_str());
}

Result<OutputFile> OutputFile::create(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return fail("{}: exists and is not a regular file; choose another output name", path);
  }
  const std::string partial = path + ".partial";
  const int descriptor = ::open(partial.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return fail("{}: cannot create: {}", partial, reason(errno));
  return OutputFile(descriptor, path);
}

Status OutputFile::write(std::span<const std::byte> bytes) {
  STERNA_CHECK(write_all(descriptor_, bytes, -1, partial_));
  position_ += bytes.size();
  return {};
}

Status OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  assert(offset + bytes.size() <= position_);
  return write_all(descriptor_, bytes, static_cast<std::int64_t>(offset), partial_);
}

Status OutputFile::flush() {
  if (::fsync(descriptor_) != 0) return fail("{}: cannot write: {}", partial_, reason(errno));
  return {};
}

Status OutputFile::commit() {
  STERNA_CHECK(flush());
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 || std::rename(partial_.c_str(), path_.c_str()) != 0) {
    const Error error = fail("{}: cannot rename into place: {}", path_, reason(errno));
    ::unlink(partial_.c_str());
    return error;
  }
  return {};
}

// --- ScratchFile --------------------------------------------------------------------------------------

ScratchFile::ScratchFile(int descriptor, std::string folder)
    : descriptor_(descriptor), folder_(std::move(folder)) {}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), folder_(std::move(other.folder_)) {}

ScratchFile::~ScratchFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<ScratchFile> ScratchFile::create(const std::string& folder, std::uint64_t bytes) {
  std::string path = folder + "/scratch-XXXXXX";
  ScratchFile file(::mkostemp(path.data(), O_CLOEXEC), folder);
  if (file.descriptor_ < 0) return fail("{}: cannot make a file there: {}", folder, reason(errno));
  ::unlink(path.c_str());
  if (::ftruncate(file.descriptor_, static_cast<off_t>(bytes)) != 0)
    return fail("{}: no room for {} bytes: {}", folder, bytes, reason(errno));
  return file;
}

Status ScratchFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  return read_all(descriptor_, offset, out, folder_);
}

Status ScratchFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  return write_all(descriptor_, bytes, static_cast<std::int64_t>(offset), folder_, "; make room there");
}

}  // namespace sterna::runtime
