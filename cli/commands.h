// The subcommands. Each adds its options to the command line and returns what runs it; the exit code is 0
// (done) or 1 (failed with one line on stderr).
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace sterna::cli {

using Command = std::function<int()>;

Command add_convert(CLI::App& app);
Command add_run(CLI::App& app);
Command add_chat(CLI::App& app);
Command add_inspect(CLI::App& app);
Command add_bench(CLI::App& app);
Command add_eval(CLI::App& app);
Command add_export(CLI::App& app);

}  // namespace sterna::cli
