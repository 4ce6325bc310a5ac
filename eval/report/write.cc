#include "eval/report/write.h"

#include <filesystem>
#include <span>
#include <system_error>

#include "eval/report/html.h"
#include "eval/report/json.h"
#include "eval/report/markdown.h"
#include "runtime/file.h"

namespace sterna::eval::report {
namespace {

Status write_file(const std::filesystem::path& path, const std::string& text) {
  STERNA_TRY(runtime::OutputFile file, runtime::OutputFile::create(path.string()));
  STERNA_CHECK(file.write(std::as_bytes(std::span(text))));
  return file.commit();
}

}  // namespace

Status write_report(const Report& report, const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail("{}: cannot be made: {}", directory, error.message());
  const std::filesystem::path folder(directory);
  const std::string json = to_json(report).dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
  STERNA_CHECK(write_file(folder / "report.json", json + "\n"));
  STERNA_CHECK(write_file(folder / "report.md", markdown(report)));
  return write_file(folder / "report.html", html(report));
}

}  // namespace sterna::eval::report
