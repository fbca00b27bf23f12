// Random input and files for the API tests.
#include "tests/api_util.h"

#include <cmath>
#include <cstring>
#include <dirent.h>
#include <fstream>
#include <limits>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>

namespace api {

uint64_t Rng::next() {
  uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint64_t hash_of(const std::string &text) {
  uint64_t h = 0xcbf29ce484222325u;
  for (char c : text)
    h = (h ^ (unsigned char)c) * 0x100000001b3u;
  return h;
}

static oracle::Num number(mars_dtype dt, long double re, long double im = 0) {
  oracle::Num n;
  n.kind = oracle::kind_of(dt);
  n.re = re;
  n.im = im;
  return oracle::rounded(dt, n);
}
static oracle::Num whole(mars_dtype dt, oracle::wide i) {
  oracle::Num n;
  n.kind = oracle::kind_of(dt);
  n.i = oracle::wrap(dt, i);
  return n;
}

static std::vector<long double> special_reals(mars_dtype dt) {
  mars_dtype f = oracle::float_of(dt);
  const long double inf = std::numeric_limits<long double>::infinity();
  long double tiny = oracle::ulp_at(f, 0);
  long double least = std::ldexp((long double)1, f == MARS_F16 ? -14 : f == MARS_F64 ? -1022 : -126);
  int top = f == MARS_F16 ? 15 : f == MARS_F64 ? 1023 : 127;
  long double most = std::ldexp((long double)2, top) - oracle::ulp_at(f, std::ldexp((long double)1, top));
  return {0.0L,
          -0.0L,
          1,
          -1,
          inf,
          -inf,
          std::numeric_limits<long double>::quiet_NaN(),
          tiny,
          -tiny,
          least,
          -least,
          least - tiny,
          most,
          -most,
          0.5L,
          -0.5L,
          1.5L,
          2.5L,
          -2.5L,
          3.14159265358979323846L,
          100,
          1e4L};
}

std::vector<oracle::Num> specials(mars_dtype dt) {
  std::vector<oracle::Num> s;
  char k = oracle::kind_of(dt);
  if (k == 'b')
    return {whole(dt, 0), whole(dt, 1)};
  if (k == 'i' || k == 'u') {
    int bits = oracle::bits_of(dt);
    oracle::wide half = (oracle::wide)1 << (bits - 1);
    for (oracle::wide v :
         {(oracle::wide)0, (oracle::wide)1, (oracle::wide)-1, (oracle::wide)2, (oracle::wide)3,
          (oracle::wide)-2, (oracle::wide)-7, (oracle::wide)10, half, half - 1, half + 1, half - 2, -half})
      s.push_back(whole(dt, v));
    return s;
  }
  for (long double v : special_reals(dt)) {
    if (k == 'f') {
      s.push_back(number(dt, v));
    } else {
      s.push_back(number(dt, v, 0));
      s.push_back(number(dt, 0.25L, v));
      s.push_back(number(dt, v, -v));
    }
  }
  return s;
}

static long double random_real(mars_dtype dt, Rng &rng, bool mild) {
  mars_dtype f = oracle::float_of(dt);
  double kind = rng.unit();
  int wide = f == MARS_F16 ? 15 : f == MARS_F64 ? 1022 : 126;
  int e = mild         ? (int)rng.between(-3, 1)
          : kind < 0.7 ? (int)rng.between(-9, 9)
                       : (int)rng.between(-wide, wide);
  long double v = std::ldexp((long double)(1 + rng.unit()), e);
  return rng.chance(0.5) ? -v : v;
}

static oracle::Num random_number(mars_dtype dt, Rng &rng, bool mild) {
  char k = oracle::kind_of(dt);
  if (k == 'b')
    return whole(dt, rng.below(2));
  if (k == 'i' || k == 'u') {
    int bits = mild ? 3 : (int)rng.between(1, oracle::bits_of(dt));
    oracle::wide v = (oracle::wide)(rng.next() >> (64 - bits));
    return whole(dt, k == 'i' && rng.chance(0.5) ? -v : v);
  }
  if (k == 'f')
    return number(dt, random_real(dt, rng, mild));
  return number(dt, random_real(dt, rng, mild), random_real(dt, rng, mild));
}

Array random_array(mars_dtype dt, std::vector<int64_t> dims, Rng &rng, bool mild) {
  Array a(dt, std::move(dims));
  std::vector<oracle::Num> s = specials(dt);
  for (int64_t i = 0; i < a.size(); i++)
    a.set(i, !mild && i < (int64_t)s.size() ? s[(size_t)i] : random_number(dt, rng, mild));
  return a;
}

// ---- files ----------------------------------------------------------------------------------------------

std::string test_tmp() {
  for (const char *name : {"MARS_TEST_TMPDIR", "TMPDIR"}) {
    const char *v = std::getenv(name);
    if (v && *v)
      return v;
  }
  return "/tmp";
}

TempDir::TempDir() {
  std::string pattern = test_tmp() + "/mars_test_XXXXXX";
  std::vector<char> buf(pattern.begin(), pattern.end());
  buf.push_back(0);
  if (!mkdtemp(buf.data()))
    throw std::runtime_error("mkdtemp " + pattern + ": " + std::strerror(errno));
  path = buf.data();
}

std::vector<std::string> TempDir::list() const {
  std::vector<std::string> names;
  if (DIR *d = opendir(path.c_str())) {
    while (dirent *e = readdir(d))
      if (std::string(e->d_name) != "." && std::string(e->d_name) != "..")
        names.push_back(e->d_name);
    closedir(d);
  }
  std::sort(names.begin(), names.end());
  return names;
}

TempDir::~TempDir() {
  for (const std::string &n : list())
    if (unlink(file(n).c_str()) != 0)
      rmdir(file(n).c_str());
  rmdir(path.c_str());
}

static std::string descr(mars_dtype dt, bool big) {
  char k = oracle::kind_of(dt);
  size_t b = mars_dtype_bytes(dt);
  char order = b == 1 ? '|' : big ? '>' : '<';
  return std::string(1, order) + k + std::to_string(b);
}

static void swap_bytes(Array *a) {
  size_t unit = oracle::kind_of(a->dt) == 'c' ? a->item() / 2 : a->item();
  for (size_t i = 0; i + unit <= a->bytes.size(); i += unit)
    std::reverse(a->bytes.begin() + (long)i, a->bytes.begin() + (long)(i + unit));
}

static Array transposed(const Array &a) { // axes reversed
  std::vector<int64_t> dims(a.dims.rbegin(), a.dims.rend());
  Array t(a.dt, dims);
  for (int64_t i = 0; i < a.size(); i++) {
    int64_t rest = i, j = 0, stride = 1;
    // coordinates of i from the last axis on; in t the first axis of a runs fastest
    std::vector<int64_t> c(a.dims.size());
    for (size_t k = a.dims.size(); k-- > 0;) {
      c[k] = rest % a.dims[k];
      rest /= a.dims[k];
    }
    for (size_t k = 0; k < a.dims.size(); k++) {
      j += c[k] * stride;
      stride *= a.dims[k];
    }
    std::memcpy(t.at(j), a.at(i), a.item());
  }
  return t;
}

void write_raw_npy(const std::string &path, const std::string &header, const std::string &data, int major) {
  std::string h = header;
  size_t fixed = major == 1 ? 10 : 12;
  while ((fixed + h.size() + 1) % 64)
    h += ' ';
  h += '\n';
  std::string start("\x93NUMPY");
  start += (char)major;
  start += '\0';
  for (size_t i = 0; i < fixed - 8; i++)
    start += (char)((h.size() >> (8 * i)) & 255);
  std::ofstream f(path, std::ios::binary);
  f << start << h << data;
  if (!f.flush())
    throw std::runtime_error("cannot write " + path);
}

void write_npy(const std::string &path, const Array &a, const NpyOptions &o) {
  std::string shape = "(";
  for (int64_t d : a.dims)
    shape += std::to_string(d) + ",";
  shape += ")";
  if (a.dims.size() > 1)
    shape.erase(shape.size() - 2, 1);
  std::string header = "{'descr': '" + descr(a.dt, o.big_endian) +
                       "', 'fortran_order': " + (o.fortran ? "True" : "False") + ", 'shape': " + shape +
                       ", }";
  Array stored = o.fortran ? transposed(a) : a;
  if (o.big_endian)
    swap_bytes(&stored);
  write_raw_npy(path, header, std::string(stored.bytes.begin(), stored.bytes.end()));
}

testing::AssertionResult read_npy(const std::string &path, Array *out) {
  std::ifstream f(path, std::ios::binary);
  std::stringstream text;
  text << f.rdbuf();
  std::string s = text.str();
  auto fail = [&](const std::string &why) { return testing::AssertionFailure() << path << ": " << why; };
  if (!f)
    return fail("cannot be read");
  if (s.size() < 10 || s.compare(0, 6, "\x93NUMPY") != 0 || s[6] != 1)
    return fail("no npy 1.0 file");
  size_t length = (unsigned char)s[8] | (size_t)(unsigned char)s[9] << 8;
  std::string h = s.substr(10, length);
  if ((10 + length) % 64 || h.empty() || h.back() != '\n')
    return fail("header not padded: " + h);
  if (h.find("'fortran_order': False") == std::string::npos)
    return fail("not in C order: " + h);
  size_t d = h.find("'descr': '");
  if (d == std::string::npos)
    return fail("no descr: " + h);
  std::string code = h.substr(d + 10, h.find('\'', d + 10) - d - 10);
  bool found = false;
  for (mars_dtype dt : kDtypes)
    if (dt != MARS_BF16 && descr(dt, false) == code)
      out->dt = dt, found = true;
  if (!found)
    return fail("descr " + code);
  out->dims.clear();
  size_t p = h.find("'shape': (");
  if (p == std::string::npos)
    return fail("no shape: " + h);
  std::stringstream list(h.substr(p + 10, h.find(')', p) - p - 10));
  for (std::string item; std::getline(list, item, ',');)
    if (item.find_first_not_of(' ') != std::string::npos)
      out->dims.push_back(std::stoll(item));
  std::string data = s.substr(10 + length);
  out->bytes.assign(data.begin(), data.end());
  if (out->bytes.size() != (size_t)out->size() * out->item())
    return fail(std::to_string(out->bytes.size()) + " bytes of data for " + h);
  return testing::AssertionSuccess();
}

int open_files() {
  int n = 0;
  if (DIR *d = opendir("/proc/self/fd")) {
    while (readdir(d))
      n++;
    closedir(d);
  }
  return n;
}

} // namespace api
