#include "harness/exec/program.h"

int main(int argc, char** argv) {
  return assay::exec::run_program(argc, argv, &assay::exec::built_in_registry);
}
