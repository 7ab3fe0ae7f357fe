#include <unistd.h>

#include <cstdio>

#include "harness/exec/program.h"

// Every stage has written its files by now. Taking LibTorch's registries and pools apart would keep
// whoever waits for this process for another 0.1 s.
int main(int argc, char** argv) {
  const int code = assay::exec::run_program(argc, argv, &assay::exec::built_in_registry);
  std::fflush(nullptr);
  ::_exit(code);
}
