#include "train/driver.h"

int main(int argc, char** argv) {
  return farsight::run_program("rwkv", argc, argv);
}
