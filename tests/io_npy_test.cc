/* npy: every dtype, order, endian and version; headers that lie; files that end early. */
#include "tests/io_util.h"

#include <climits>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

using namespace io;

namespace {

struct Dtype {
  const char *code;
  mars_dtype dtype;
  size_t bytes, scalar;
};
const Dtype kDtypes[] = {{"b1", MARS_BOOL, 1, 1}, {"i1", MARS_I8, 1, 1},    {"i2", MARS_I16, 2, 2},
                         {"i4", MARS_I32, 4, 4},  {"i8", MARS_I64, 8, 8},   {"u1", MARS_U8, 1, 1},
                         {"u2", MARS_U16, 2, 2},  {"u4", MARS_U32, 4, 4},   {"u8", MARS_U64, 8, 8},
                         {"f2", MARS_F16, 2, 2},  {"f4", MARS_F32, 4, 4},   {"f8", MARS_F64, 8, 8},
                         {"c8", MARS_C64, 8, 4},  {"c16", MARS_C128, 16, 8}};

std::string dict(const std::string &descr, bool fortran, const std::string &shape) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': " + shape + ", }";
}

mars_status parse(const std::string &header, shim_info *info, mars_error *err) {
  *err = {};
  return shim_npy_parse(header.data(), header.size(), info, err);
}

class Npy : public testing::TestWithParam<Mode> {};
const Mode kModes[] = {{"uring", true}, {"uring", false}, {"threads", true}, {"threads", false}};
INSTANTIATE_TEST_SUITE_P(Modes, Npy, testing::ValuesIn(kModes), mode_name);

TEST_P(Npy, ReadsEveryDtypeOrderEndianAndVersion) {
  TempDir dir;
  Store store({GetParam(), {}, 0, 64 * kMiB});
  for (const Dtype &d : kDtypes)
    for (char order : {'<', '>', '|', '='})
      for (int version : {1, 2, 3})
        for (bool fortran : {false, true}) {
          std::string what =
              order + std::string(d.code) + " v" + std::to_string(version) + (fortran ? " F" : " C");
          size_t n = 35 * 41;
          std::vector<char> data = random_bytes(n * d.bytes, 11);
          std::string path = dir / "x.npy";
          write_file(path, npy_header(dict(order + std::string(d.code), fortran, "(35, 41)"), version), data);
          mars_error err = {};
          shim_info info = {};
          mx_source *f = nullptr;
          store.rewind();
          ASSERT_EQ(shim_source_open(store, path.c_str(), &info, &f, &err), MARS_OK) << what << err.message;
          EXPECT_EQ(info.dtype, d.dtype) << what;
          EXPECT_EQ(info.fortran, fortran);
          ASSERT_EQ(info.shape.ndim, 2);
          EXPECT_EQ(info.shape.dims[0], fortran ? 41 : 35);
          EXPECT_EQ(info.shape.dims[1], fortran ? 35 : 41);
          EXPECT_EQ(info.swap, order == '>' && d.bytes > 1) << what;
          std::vector<char> got, want = data;
          if (info.swap)
            for (size_t i = 0; i < want.size(); i += d.scalar) std::reverse(&want[i], &want[i] + d.scalar);
          if (d.dtype == MARS_BOOL)
            for (char &c : want) c = c != 0;
          ASSERT_EQ(read_range(store, f, 0, data.size(), got, &err), MARS_OK) << what << err.message;
          EXPECT_EQ(got, want) << what;
          size_t from = 7 * d.bytes, bytes = 613 * d.bytes;
          ASSERT_EQ(read_range(store, f, (int64_t)from, bytes, got, &err), MARS_OK);
          EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin() + (long)from)) << what;
          shim_source_release(store, f);
        }
}

TEST(NpyHeader, AcceptsWhatPythonAccepts) {
  struct Case {
    const char *dict;
    mars_dtype dtype;
    std::vector<int64_t> shape;
    bool fortran;
  } cases[] = {
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (), }", MARS_F64, {}, false},
      {"{'descr': '<f8', 'fortran_order': True, 'shape': (), }", MARS_F64, {}, false},
      {"{'descr': '<f8', 'fortran_order': True, 'shape': (5,), }", MARS_F64, {5}, false},
      {"{\"shape\":(2,3),\"descr\":\"<i4\",\"fortran_order\":False}", MARS_I32, {2, 3}, false},
      {"  { 'fortran_order' : True , 'shape' : ( 2 , 3 , 4 , ) , 'descr' : '=u2' , }  \n",
       MARS_U16,
       {4, 3, 2},
       true},
      {"{'descr': '?', 'fortran_order': False, 'shape': (0, 7)}", MARS_BOOL, {0, 7}, false},
      {"{'descr': 'f4', 'fortran_order': False, 'shape': (3L, 4L)}", MARS_F32, {3, 4}, false},
      {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2)}",
       MARS_U8,
       {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2},
       false},
  };
  for (const Case &c : cases) {
    shim_info info = {};
    mars_error err;
    ASSERT_EQ(parse(npy_header(c.dict), &info, &err), MARS_OK) << c.dict << "\n" << err.message;
    EXPECT_EQ(info.dtype, c.dtype) << c.dict;
    EXPECT_EQ(info.fortran, c.fortran) << c.dict;
    EXPECT_EQ(std::vector<int64_t>(info.shape.dims, info.shape.dims + info.shape.ndim), c.shape) << c.dict;
  }
}

struct Bad {
  const char *dict;
  mars_status status;
  const char *says;
};
const Bad kBad[] = {
    {"", MARS_E_FORMAT, "'{' expected"},
    {"{", MARS_E_FORMAT, "a key"},
    {"{}", MARS_E_FORMAT, "'descr' is missing"},
    {"[]", MARS_E_FORMAT, "'{' expected"},
    {"{,}", MARS_E_FORMAT, "a key"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)", MARS_E_FORMAT, "'}'"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (", MARS_E_FORMAT, "an extent"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': ", MARS_E_FORMAT, "tuple"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape'", MARS_E_FORMAT, "':'"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape", MARS_E_FORMAT, "end of the string"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)} x", MARS_E_FORMAT, "nothing more"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}{}", MARS_E_FORMAT, "nothing more"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,),,}", MARS_E_FORMAT, "a key"},
    {"{'descr': '<f8' 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "',' or '}'"},
    {"{'descr' '<f8', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "':'"},
    {"{'descr': '<f8', 'shape': (3,)}", MARS_E_FORMAT, "'fortran_order' is missing"},
    {"{'descr': '<f8', 'fortran_order': False}", MARS_E_FORMAT, "'shape' is missing"},
    {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT,
     "is there twice"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3,), 'x': 1}", MARS_E_FORMAT, "'x' is not known"},
    {"{1: '<f8'}", MARS_E_FORMAT, "a key"},
    {"{'descr': '<f8', 'fortran_order': 0, 'shape': (3,)}", MARS_E_FORMAT, "True or False"},
    {"{'descr': '<f8', 'fortran_order': None, 'shape': (3,)}", MARS_E_FORMAT, "True or False"},
    {"{'descr': '<f8', 'fortran_order': True_, 'shape': (3,)}", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': 3}", MARS_E_FORMAT, "tuple"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (3)}", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': [3]}", MARS_E_FORMAT, "tuple"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (,)}", MARS_E_FORMAT, "an extent"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,,2)}", MARS_E_FORMAT, "an extent"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1 2)}", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", MARS_E_FORMAT, "negative"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (0x10,)}", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1.5,)}", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1e9,)}", MARS_E_FORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': ('3',)}", MARS_E_FORMAT, "an extent"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': ((3,),)}", MARS_E_FORMAT, "an extent"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}", MARS_E_FORMAT, "an extent"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775808,)}", MARS_E_OVERFLOW, "64 bits"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999999999999,)}", MARS_E_OVERFLOW,
     "64 bits"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}", MARS_E_SHAPE,
     "16 dim"},
    {"{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "pickles"},
    {"{'descr': 'O', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "pickles"},
    {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "structured"},
    {"{'descr': ('<f8', (2,)), 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "structured"},
    {"{'descr': '<U5', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "strings"},
    {"{'descr': '|S5', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "strings"},
    {"{'descr': '|V8', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "raw records"},
    {"{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "times"},
    {"{'descr': '<m8[s]', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "times"},
    {"{'descr': '<f16', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "float64"},
    {"{'descr': '<c32', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "float64"},
    {"{'descr': '<i16', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "float64"},
    {"{'descr': '<b8', 'fortran_order': False, 'shape': (3,)}", MARS_E_DTYPE, "float64"},
    {"{'descr': '<i99999999999', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': '<f', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': '', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': '<', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': '<f8 ', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': '<<f8', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': 'float64', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "no dtype"},
    {"{'descr': '\\x3cf8', 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "end of the string"},
    {"{'descr': 8, 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT, "the dtype as a string"},
    {"{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (3,)}", MARS_E_FORMAT,
     "string"},
};

TEST(NpyHeader, RefusesWhatIsMalformed) {
  for (const Bad &b : kBad) {
    shim_info info = {};
    mars_error err;
    EXPECT_EQ(parse(npy_header(b.dict), &info, &err), b.status) << b.dict << "\n" << err.message;
    EXPECT_NE(std::string(err.message).find(b.says), std::string::npos) << b.dict << "\n" << err.message;
    EXPECT_NE(std::string(err.message).find("mars_from_npy"), std::string::npos) << err.message;
    EXPECT_NE(std::string(err.message).find("x.npy"), std::string::npos) << err.message;
  }
}

TEST(NpyHeader, RefusesPrefixesThatLie) {
  std::string good = npy_header(dict("<f8", false, "(0,)"));
  shim_info info;
  mars_error err;
  ASSERT_EQ(parse(good, &info, &err), MARS_OK);
  for (size_t n = 0; n < good.size(); n++)
    EXPECT_EQ(parse(good.substr(0, n), &info, &err), MARS_E_FORMAT) << n;
  for (int version : {0, 4, 255}) {
    std::string bad = good;
    bad[6] = (char)version;
    EXPECT_EQ(parse(bad, &info, &err), MARS_E_FORMAT);
    EXPECT_NE(std::string(err.message).find("version"), std::string::npos);
  }
  std::string minor = good;
  minor[7] = 1;
  EXPECT_EQ(parse(minor, &info, &err), MARS_E_FORMAT);
  std::string huge = npy_header(dict("<f8", false, "(0,)"), 2);
  huge[11] = (char)0xff;
  EXPECT_EQ(parse(huge, &info, &err), MARS_E_FORMAT);
  EXPECT_NE(std::string(err.message).find("claims"), std::string::npos);
}

TEST(NpyHeader, RandomMutationsNeverConfuseIt) {
  std::mt19937 rng(3);
  int ok = 0;
  for (int round = 0; round < 60000; round++) {
    std::string h = npy_header(dict("<f8", round & 1, "(12, 345, 6789)"), 1 + round % 3);
    int edits = 1 + (int)(rng() % 4);
    for (int i = 0; i < edits; i++) {
      size_t at = rng() % h.size();
      switch (rng() % 4) {
      case 0:
        h[at] = (char)rng();
        break;
      case 1:
        h.erase(at, 1 + rng() % 5);
        break;
      case 2:
        h.insert(at, std::string(1 + rng() % 5, "{}()',:0 9LTrue<f8\\"[rng() % 19]));
        break;
      default:
        h[at] = "{}()',:0 9LTrue<f8\\"[rng() % 19];
        break;
      }
      if (h.empty()) h = "x";
    }
    shim_info info = {};
    mars_error err;
    mars_status st = parse(h, &info, &err);
    if (st == MARS_OK) {
      ok++;
      ASSERT_GE(info.dtype, 0);
      ASSERT_LT(info.dtype, MARS_DTYPE_COUNT);
      ASSERT_GE(info.shape.ndim, 0);
      ASSERT_LE(info.shape.ndim, MARS_MAX_DIMS);
      for (int i = 0; i < info.shape.ndim; i++) ASSERT_GE(info.shape.dims[i], 0);
    } else {
      ASSERT_NE(err.message[0], '\0');
    }
  }
  EXPECT_GT(ok, 0); /* some mutations only change an extent or a space */
}

mars_status open_file(Store &s, const std::string &path, mars_error *err) {
  shim_info info;
  mx_source *f = nullptr;
  *err = {};
  mars_status st = shim_source_open(s, path.c_str(), &info, &f, err);
  if (st == MARS_OK) shim_source_release(s, f);
  EXPECT_TRUE(st == MARS_OK || f == nullptr);
  return st;
}

TEST(NpyFile, ChecksSizesBeforeAnythingIsAllocated) {
  TempDir dir;
  Store store({});
  std::string path = dir / "x.npy";
  mars_error err;
  struct Case {
    std::string shape;
    mars_status status;
    const char *says;
  } cases[] = {
      {"(4611686018427387904, 4)", MARS_E_OVERFLOW, "overflows"},
      {"(1152921504606846976,)", MARS_E_OVERFLOW, "overflows"},
      {"(1152921504606846975,)", MARS_E_FORMAT, "truncated"},
      {"(101,)", MARS_E_FORMAT, "needs 808 bytes of data, but the file has 800"},
  };
  for (const Case &c : cases) {
    write_file(path, npy_header(dict("<f8", false, c.shape)), std::vector<char>(800));
    EXPECT_EQ(open_file(store, path, &err), c.status) << c.shape << err.message;
    EXPECT_NE(std::string(err.message).find(c.says), std::string::npos) << err.message;
    EXPECT_NE(std::string(err.message).find(path), std::string::npos) << err.message;
  }
  write_file(path, npy_header(dict("<f8", false, "(99,)")), std::vector<char>(800));
  EXPECT_EQ(open_file(store, path, &err), MARS_OK) << "bytes after the data are ignored, as by NumPy";
  std::string head = npy_header(dict("<f8", false, "(99,)"));
  head[9] = (char)0xff;
  write_file(path, head, std::vector<char>(800));
  EXPECT_EQ(open_file(store, path, &err), MARS_E_FORMAT);
  EXPECT_NE(std::string(err.message).find("claims"), std::string::npos) << err.message;
  for (size_t n : {0, 3, 6, 9, 10, 50}) {
    write_file(path, head.substr(0, n), {});
    EXPECT_EQ(open_file(store, path, &err), MARS_E_FORMAT) << n;
  }
}

TEST(NpyFile, RefusesWhatIsNoRegularFile) {
  TempDir dir;
  Store store({});
  mars_error err;
  EXPECT_EQ(open_file(store, dir / "missing.npy", &err), MARS_E_IO);
  EXPECT_EQ(err.code, ENOENT);
  EXPECT_NE(std::string(err.message).find("missing.npy"), std::string::npos);
  EXPECT_EQ(open_file(store, dir.path, &err), MARS_E_IO);
  EXPECT_NE(std::string(err.message).find("a directory"), std::string::npos);
  ASSERT_EQ(mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(open_file(store, dir / "fifo", &err), MARS_E_IO); /* and does not wait for a writer */
  EXPECT_EQ(open_file(store, "/dev/null", &err), MARS_E_IO);
}

TEST_P(Npy, AShrinkingFileIsToldWithPathAndBytes) {
  TempDir dir;
  Store store({GetParam(), {}, 0, 64 * kMiB});
  std::string path = dir / "x.npy";
  std::vector<char> data = random_bytes(8 * kMiB, 5);
  write_file(path, npy_header(dict("<f8", false, "(1048576,)")), data);
  shim_info info;
  mars_error err = {};
  mx_source *f = nullptr;
  ASSERT_EQ(shim_source_open(store, path.c_str(), &info, &f, &err), MARS_OK) << err.message;
  ASSERT_EQ(truncate(path.c_str(), 1000000), 0);
  std::vector<char> got;
  ASSERT_EQ(read_range(store, f, 0, 100000, got, &err), MARS_OK)
      << err.message; /* what is there can be read */
  EXPECT_TRUE(std::equal(got.begin(), got.end(), data.begin()));
  EXPECT_EQ(read_range(store, f, 900000, 200000, got, &err), MARS_E_IO);
  EXPECT_NE(std::string(err.message).find("became shorter"), std::string::npos) << err.message;
  EXPECT_NE(std::string(err.message).find(path), std::string::npos) << err.message;
  EXPECT_EQ(read_range(store, f, 4000000, 8000, got, &err), MARS_E_IO);
  EXPECT_NE(std::string(err.message).find("only 0 are there"), std::string::npos) << err.message;
  shim_source_release(store, f);
}

TEST(NpySwap, ReversesEveryScalarOfEveryLength) {
  for (const Dtype &d : kDtypes)
    for (size_t n : {0, 1, 2, 3, 7, 8, 31, 100}) {
      std::vector<char> v = random_bytes(n * d.bytes + 1, 9), want = v; /* +1: also from an odd address */
      for (size_t i = 1; i < v.size(); i += d.scalar) std::reverse(&want[i], &want[i] + d.scalar);
      shim_npy_swap(v.data() + 1, n * d.bytes, d.dtype);
      EXPECT_EQ(v, want) << d.code << " " << n;
    }
}

} // namespace
