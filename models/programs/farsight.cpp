#include "train/farsight_program.h"

int main(int argc, char** argv) {
  return farsight::run_farsight({argv + 1, argv + argc});
}
