// `dropbp`: the command line.
#include "client/command_line.h"

int main(int argc, char** argv) {
  using namespace dropbp::client;
  return static_cast<int>(RunCommandLine({argv + 1, argv + argc}, StandardConsole()));
}
