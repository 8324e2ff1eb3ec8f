// The command line of `dropbp`.
#pragma once

#include <string>
#include <vector>

#include "client/console.h"
#include "client/exit_code.h"

namespace dropbp::client {

// Parses `arguments` (without the program's name), runs the chosen command and returns how it
// ended. Data goes to console.out, talk to console.err. Help and usage errors are answered here; no
// exception leaves this function.
ExitCode RunCommandLine(std::vector<std::string> arguments, const Console& console);

}  // namespace dropbp::client
