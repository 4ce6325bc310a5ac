#include "cli/terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>
#include <cstdio>

namespace sterna::cli {
namespace {

std::atomic<int> interrupts{0};
static_assert(std::atomic<int>::is_always_lock_free, "set from a signal handler");

extern "C" void on_interrupt(int signal_number) {
  if (interrupts.fetch_add(1) > 0) _exit(128 + signal_number);
}

std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return line;
}

std::string human_seconds(double seconds) {
  const auto s = std::lround(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
}

}  // namespace

bool TextOutput::write(std::string_view piece) {
  if (at_start_) {
    piece.remove_prefix(std::min(piece.find_first_not_of(" \n"), piece.size()));
    at_start_ = piece.empty();
  }
  return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size() && std::fflush(stdout) == 0;
}

ProgressLine::ProgressLine(bool enabled) : enabled_(enabled && ::isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
}

void ProgressLine::update(std::uint64_t done, std::uint64_t total, std::string_view what) {
  if (!enabled_ || total == 0) return;
  const auto now = Clock::now();
  if (total != total_) {
    total_ = total;
    start_ = now;
  }
  if (drawn_ && done < total && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  drawn_ = true;
  const double share = static_cast<double>(done) / static_cast<double>(total);
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const auto filled = static_cast<std::size_t>(share * 24);
  std::string left = "    ";
  if (share > 0.02 && elapsed > 0.5) left = human_seconds(elapsed / share * (1.0 - share)) + " left";
  fmt::print(stderr, "\r\033[K[{:.<24}] {:3.0f} %  {}  {}", std::string(filled, '#'), share * 100, left,
             what);
  std::fflush(stderr);
}

void ProgressLine::note(std::string_view text) {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
  print_note(text);
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed stdout is a write error, not a silent death
  std::signal(SIGXFSZ, SIG_IGN);  // a file size limit is a write error, too
}

bool interrupted() { return interrupts.load() > 0; }
void clear_interrupt() { interrupts.store(0); }

std::string human_bytes(std::uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

int print_error(std::string_view message) {
  fmt::print(stderr, "sterna: {}\n", one_line(message));
  return 1;
}

void print_note(std::string_view message) { fmt::print(stderr, "{}\n", one_line(message)); }

}  // namespace sterna::cli
