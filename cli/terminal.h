// What the command line shows while it works, and how it is stopped: stderr only, and only on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace sterna::cli {

// "[#####.....]  42 %  3 s left  blk.3.attn_q.weight" on stderr, redrawn at most ten times a second; nothing
// when stderr is no terminal. The destructor clears the line.
class ProgressLine {
 public:
  explicit ProgressLine(bool enabled = true);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  // A total that is not the last one's begins a new part: the time left is that of the part.
  void update(std::uint64_t done, std::uint64_t total, std::string_view what);
  // A line that stays, on stderr whether or not it is a terminal.
  void note(std::string_view text);

 private:
  using Clock = std::chrono::steady_clock;
  bool enabled_;
  bool drawn_ = false;
  std::uint64_t total_ = 0;
  Clock::time_point start_ = Clock::now();
  Clock::time_point last_;
};

// Generated text on stdout, piece by piece. An answer of a chat stands alone, so the space with which many
// models begin one after "Assistant:" is not shown.
class TextOutput {
 public:
  explicit TextOutput(bool is_answer) : at_start_(is_answer) {}
  bool write(std::string_view piece);  // false: stdout is closed or full

 private:
  bool at_start_;
};

// From here on Ctrl-C (and SIGTERM) only sets a flag; a second one ends the program at once.
void catch_interrupts();
bool interrupted();
void clear_interrupt();

// "1.2 GiB", "640 KiB"
std::string human_bytes(std::uint64_t bytes);

// One line on stderr: "sterna: ..." (line breaks in the message become spaces). Returns 1, the exit code.
int print_error(std::string_view message);
void print_note(std::string_view message);

}  // namespace sterna::cli
