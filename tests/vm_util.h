// Programs for the host device with a naive evaluation beside them: every SSA value of every point by the oracle.
#ifndef TESTS_VM_UTIL_H
#define TESTS_VM_UTIL_H

#include "tests/oracle.h"
#include "tests/vm_shim.h"

#include <random>
#include <string>
#include <vector>

namespace vm {

using Shape = std::vector<int64_t>;
using Rng = std::mt19937_64;

int64_t count(const Shape &shape);
Shape unravel(int64_t i, const Shape &shape);

// Elements somewhere in `mem`, point i at mem[offset + sum i_j * stride_j].
struct Array {
  mars_dtype dt = MARS_F64;
  Shape shape, stride;
  std::vector<char> mem;
  int64_t offset = 0;
  int64_t at(const Shape &index) const;
};
enum Layout { COMPACT, ANY_ORDER, ANY_WITH_BROADCAST };
// Permuted, gapped, reversed and broadcast dimensions at random.
Array make_array(Rng &rng, mars_dtype dt, const Shape &shape, Layout layout);
// Small integers (so that sums are exact or nearly so), some NaN and inf if `special`.
void fill(Rng &rng, Array &a, bool special);
oracle::Num number(mars_dtype dt, double re, double im = 0);

// One device per instruction set and thread count; open until the process ends.
struct Device {
  std::string name, isa;
  vm_dev *dev;
};
const std::vector<Device> &devices();

// What the kernels of a CUDA device moved from its beginning on, counted by the simulated platform, against tests/cuda_traffic.h: no byte
// beside the law's. Other devices, and real ones, do not count.
class Account {
public:
  enum Needs { ALL, SOME }; // SOME: results that do not need every byte of the operands
  Account();
  void settle(Needs needs = ALL) const;

private:
  uint64_t before_[4] = {};
  static void look(uint64_t (&now)[4]);
};

struct Options {
  Shape tile;          // empty: one call over the whole space
  bool finish = false; // one tile: finished values at once; else accumulators, combined
  bool stream = false;
  Account::Needs needs = Account::ALL;
};

class Program {
public:
  Program(const Shape &space, uint32_t mask = 0);
  ~Program();
  Program(const Program &) = delete;
  int load(const Array &a);
  int constant(mars_dtype dt, const oracle::Num &v);
  int iota(int64_t base, const Shape &stride);
  int uniform(mars_dtype dt, uint64_t seed, uint64_t stream, int64_t base, const Shape &stride);
  int cast(int v, mars_dtype to);
  int op(const std::string &name, int a, int b = -1, int c = -1);
  int store(int v, const Array &out); // out: layout of the result
  int reduce(const std::string &name, int v, double ddof = 0, mars_dtype src = MARS_DTYPE_AUTO);
  int scan(const std::string &name, int v, const Array &out);

  // Memory of every out slot after a run: stores as laid out, reductions compact.
  std::vector<std::vector<char>> run(vm_dev *dev, const Options &options);
  // Runs on every device, compares with the naive values, and bits between devices.
  void check(const Options &options);
  const std::vector<oracle::Num> &values(int v) const { return values_[(size_t)v]; }
  vm_prog *prog() { return prog_; }
  int64_t kept() const;

private:
  struct Out {
    bool reduce;
    std::string name;
    int value;
    mars_dtype src, dt;
    double ddof;
    Array array;
  };
  struct Gen {
    int64_t base;
    Shape stride;
  };
  int add(int v, std::vector<oracle::Num> values);
  void check_store(const Out &out, const std::vector<char> &got, const std::string &where);
  void check_reduce(const Out &out, const std::vector<char> &got, const std::string &where);
  Shape space_;
  uint32_t mask_;
  vm_prog *prog_;
  std::vector<std::vector<oracle::Num>> values_;
  std::vector<Array> in_;
  std::vector<Gen> gen_;
  std::vector<Out> out_;
};

double row_ulp(const std::string &name);

} // namespace vm
#endif
