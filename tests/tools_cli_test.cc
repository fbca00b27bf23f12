// The command `mars` from the outside: output, files, messages, exit codes, signals, terminals; the README's example.
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <poll.h>
#include <pty.h>
#include <regex>
#include <set>
#include <signal.h>
#include <sstream>
#include <string>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using std::string;
using std::vector;

struct Ran {
  int code = -1; // exit code, or 1000 + signal
  string out, err;
};

// Reads both pipes until they are closed. on_start is called once the child runs.
Ran Spawn(vector<string> argv, int interrupt_after_ms = 0, const char *dir = nullptr) {
  int out[2], err[2];
  Ran r;
  if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) return r;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(out[1], 1), dup2(err[1], 2);
    if (dir && chdir(dir)) _exit(126);
    vector<char *> args;
    for (string &a : argv) args.push_back(a.data());
    args.push_back(nullptr);
    execvp(args[0], args.data());
    _exit(127);
  }
  close(out[1]), close(err[1]);
  if (interrupt_after_ms) {
    usleep((useconds_t)interrupt_after_ms * 1000);
    kill(pid, SIGINT);
  }
  pollfd fds[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  for (int open = 2; open > 0;) {
    if (poll(fds, 2, -1) < 0) break;
    for (int i = 0; i < 2; i++) {
      char buffer[4096];
      if (!fds[i].revents) continue;
      ssize_t n = read(fds[i].fd, buffer, sizeof buffer);
      if (n > 0) (i ? r.err : r.out).append(buffer, (size_t)n);
      else fds[i].fd = -1, open--;
    }
  }
  close(out[0]), close(err[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  r.code = WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  return r;
}

Ran Mars(vector<string> args, int interrupt_after_ms = 0) {
  args.insert(args.begin(), MARS_COMMAND);
  return Spawn(args, interrupt_after_ms);
}

// Standard output of a calculation that must succeed.
string Calc(vector<string> args) {
  args.insert(args.begin(), "calc");
  Ran r = Mars(args);
  EXPECT_EQ(r.code, 0) << args[1] << "\n" << r.err;
  return r.out;
}

void ExpectFailure(vector<string> args, int code, const string &part) {
  Ran r = Mars(args);
  EXPECT_EQ(r.code, code) << r.out << r.err;
  EXPECT_EQ(r.out, "");
  EXPECT_NE(r.err.find(part), string::npos) << r.err;
}

class ToolsCli : public ::testing::Test {
protected:
  string dir;
  void SetUp() override {
    const char *base = getenv("TMPDIR");
    string path = string(base ? base : "/tmp") + "/mars_cli_XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    dir = path;
  }
  void TearDown() override { Spawn({"rm", "-rf", dir}); }
  string Path(const string &name) const { return dir + "/" + name; }
  vector<string> Files() const {
    vector<string> names;
    DIR *d = opendir(dir.c_str());
    while (dirent *e = readdir(d))
      if (e->d_name[0] != '.' || strlen(e->d_name) > 2) names.push_back(e->d_name);
    closedir(d);
    return names;
  }
};

void WriteNpy(const string &path, const char *descr, const string &shape, const void *data, size_t bytes) {
  string header = string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  while ((10 + header.size() + 1) % 64) header += ' ';
  header += '\n';
  std::ofstream f(path, std::ios::binary);
  f.write("\x93NUMPY\x01\x00", 8);
  uint16_t n = (uint16_t)header.size();
  f.write((const char *)&n, 2);
  f << header;
  f.write((const char *)data, (std::streamsize)bytes);
}

// Header text and data of an npy file; data is empty if it is none.
struct Npy {
  string header;
  vector<char> data;
};
Npy ReadNpy(const string &path) {
  std::ifstream f(path, std::ios::binary);
  string all((std::istreambuf_iterator<char>(f)), {});
  if (all.size() < 10 || all.compare(0, 6, "\x93NUMPY")) return {};
  size_t n = (unsigned char)all[8] | (size_t)(unsigned char)all[9] << 8;
  return {all.substr(10, n), vector<char>(all.begin() + 10 + (long)n, all.end())};
}
template <class T> vector<T> Values(const Npy &npy) {
  vector<T> v(npy.data.size() / sizeof(T));
  if (!v.empty()) memcpy(v.data(), npy.data.data(), v.size() * sizeof(T));
  return v;
}

string Slurp(const string &path) {
  std::ifstream f(path);
  return string((std::istreambuf_iterator<char>(f)), {});
}

TEST_F(ToolsCli, HelpAndVersion) {
  EXPECT_EQ(Mars({"version"}).out.rfind("mars ", 0), 0u);
  EXPECT_EQ(Mars({"--version"}).out, Mars({"version"}).out);
  for (const char *command : {"calc", "plan", "info", "ops"}) {
    Ran r = Mars({command, "--help"});
    EXPECT_EQ(r.code, 0);
    EXPECT_NE(r.out.find(string("usage: mars ") + command), string::npos);
    EXPECT_EQ(Mars({"help", command}).out, r.out);
  }
  for (const char *topic : {"syntax", "functions", "environment"}) EXPECT_GT(Mars({"help", topic}).out.size(), 200u) << topic;
  EXPECT_EQ(Mars({"help"}).code, 0);
  EXPECT_EQ(Mars({}).code, 2);
  ExpectFailure({"cal", "1"}, 2, "did you mean calc?");
  ExpectFailure({"help", "nothing"}, 2, "no page");
  ExpectFailure({"calc"}, 2, "an expression is missing");
  ExpectFailure({"calc", "1", "--bugdet", "1"}, 2, "did you mean --budget?");
}

TEST_F(ToolsCli, Info) {
  Ran r = Mars({"info", "--budget", "64M", "--threads", "1", "--spill", dir});
  EXPECT_EQ(r.code, 0) << r.err;
  for (const string &part : {string("cpu "), string("device 0     host: 1 thread,"), string("64.0 MiB"), "spill        " + dir, string("libhwloc.so")})
    EXPECT_NE(r.out.find(part), string::npos) << part << "\n" << r.out;
  r = Mars({"info", "--json", "--budget", "64M"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.out[0], '{');
  for (const char *key : {"\"version\"", "\"cpu\"", "\"devices\": [{\"id\": 0", "\"host_budget_bytes\": 67108864", "\"spill\"", "\"libraries\""})
    EXPECT_NE(r.out.find(key), string::npos) << key << "\n" << r.out;
}

#ifdef MARS_SIMGPU_DIR
// Every library of CUDA has a row: where it lies and its version, or why it is missing.
TEST_F(ToolsCli, InfoTellsOfEveryLibraryOfCuda) {
  const std::set<string> all = {"libcuda", "libnvrtc", "libcublas", "libcusolver", "libcusparse", "libcufft", "libnccl", "libnvidia-ml"};
  const std::regex row("\\{\"name\": \"([^\"]*)\", \"path\": (null|\"[^\"]*\"), \"version\": (null|\"[^\"]*\"), \"missing\": (null|\"[^\"]*\")\\}");
  auto info = [&](const string &path, bool json) {
    vector<string> args = {"env", "MARS_CUDA_LIBRARY_PATH=" + path, "MARS_DEVICES=host", MARS_COMMAND, "info", "--budget", "64M"};
    if (json) args.push_back("--json");
    Ran r = Spawn(args);
    EXPECT_EQ(r.code, 0) << r.err;
    return r.out;
  };
  for (bool there : {true, false}) {
    const string path = there ? MARS_SIMGPU_DIR : dir + ":!", text = info(path, false), json = info(path, true);
    std::set<string> seen;
    for (std::sregex_iterator i(json.begin(), json.end(), row), end; i != end; ++i) {
      const string name = (*i)[1], file = (*i)[2], version = (*i)[3], missing = (*i)[4];
      SCOPED_TRACE(i->str());
      EXPECT_TRUE(seen.insert(name).second);
      // NVRTC is a real one or none
      if (!there || (name == "libnvrtc" && file == "null")) {
        EXPECT_EQ(file, "null");
        EXPECT_EQ(missing.find("\"not found (" + name + ".so"), 0u);
        EXPECT_NE(text.find("\n" + name + string(name.size() < 12 ? 12 - name.size() : 0, ' ') + " missing: not found (" + name + ".so"), string::npos) << text;
        continue;
      }
      EXPECT_EQ(missing, "null");
      EXPECT_NE(file.find("/" + name + ".so"), string::npos);
      if (name != "libnvrtc") {
        EXPECT_EQ(file.find(string("\"") + MARS_SIMGPU_DIR + "/"), 0u);
      }
      EXPECT_TRUE(std::regex_search(version, std::regex("[0-9]+\\.[0-9]+")));
      EXPECT_NE(text.find(file.substr(1, file.size() - 2) + ", " + version.substr(1, version.size() - 2) + "\n"), string::npos) << text;
    }
    EXPECT_EQ(seen, all) << json;
  }
}
#endif

TEST_F(ToolsCli, Ops) {
  Ran r = Mars({"ops"});
  EXPECT_NE(r.out.find("\nadd "), string::npos);
  EXPECT_NE(r.out.find("\nlogaddexp2 "), string::npos);
  r = Mars({"ops", "scan"});
  EXPECT_NE(r.out.find("cumsum"), string::npos);
  EXPECT_EQ(r.out.find("\nadd "), string::npos);
  EXPECT_EQ(Mars({"ops", "--json", "cumsum"}).out.rfind("[\n  {\"name\": \"cumsum\", \"kind\": \"scan\"", 0), 0u);
  ExpectFailure({"ops", "nothing_like_that", "--help="}, 2, "no value");
}

TEST_F(ToolsCli, Values) {
  EXPECT_EQ(Calc({"1 + 1"}), "2\n");
  EXPECT_EQ(Calc({"(arange(10) + 1) * 2"}), "[ 2  4  6  8 10 12 14 16 18 20]\n");
  EXPECT_EQ(Calc({"arange(6).reshape(2, 3).T"}), "[[0 3]\n [1 4]\n [2 5]]\n");
  EXPECT_EQ(Calc({"arange(5).sum()"}), "10\n");
  EXPECT_EQ(Calc({"arange(5).mean()"}), "2.0\n");
  EXPECT_EQ(Calc({"zeros(3, dtype=float32) / 0"}), "[nan nan nan]\n");
  EXPECT_EQ(Calc({"array([1, 2j]) * 1j"}), "[ 0.+1.j -2.+0.j]\n");
  EXPECT_EQ(Calc({"arange(3) > 1"}), "[False False  True]\n");
  EXPECT_EQ(Calc({"q, r = divmod(arange(-3, 3), 2)"}), "[-2 -1 -1  0  0  1]\n[1 0 1 0 1 0]\n");
  EXPECT_EQ(Calc({"zeros((0, 3))"}), "[]\n");
  EXPECT_EQ(Calc({"sum(zeros((0, 3)))"}), "0.0\n");
  EXPECT_EQ(Calc({"0 <= linspace(-1, 1, 5) < 1"}), "[False False  True  True False]\n");
  EXPECT_EQ(Calc({"float32(0.1)"}), "0.1\n");
  EXPECT_EQ(Calc({"where(arange(4) % 2 == 0, arange(4), -1)"}), "[ 0 -1  2 -1]\n");
  EXPECT_EQ(Calc({"x.shape, x.dtype", "x=zeros((2, 3), float32)"}), "((2, 3), float32)\n");
  EXPECT_EQ(Calc({"y * 2", "x=3", "y=x + 1"}), "8\n");
  EXPECT_EQ(Calc({"arange(3)", "--dtype", "float32"}), "[0. 1. 2.]\n");
  EXPECT_EQ(Calc({"-x", "x=arange(3)"}), "[ 0 -1 -2]\n");
  EXPECT_EQ(Calc({"random.seed(3)"}), "");
}

TEST_F(ToolsCli, MatrixProducts) {
  EXPECT_EQ(Calc({"[[1, 2], [3, 4]] @ arange(2)", "--dtype", "int64"}), "[2 4]\n");
  EXPECT_EQ(Calc({"a @ a.T", "a=arange(6).reshape(2, 3)"}), "[[ 5 14]\n [14 50]]\n");
  EXPECT_EQ(Calc({"linalg.matmul(a.mT, a) @ ones(3)", "a=arange(6).reshape(2, 3)"}), "[36. 51. 66.]\n");
  EXPECT_EQ(Calc({"c @ c.conj()", "c=array([1, 2j])"}), "(5+0j)\n");
  ExpectFailure({"calc", "a @ a", "a=zeros((2, 3))"}, 1, "  a @ a\n    ^\n");
}

// The independent value: a is [0, 1) of which everything is known but the numbers; the same numbers in a loop.
TEST_F(ToolsCli, StandardDeviationOfAProduct) {
  const int n = 40;
  Calc({"random.uniform(size=(40, 40))", "-o", Path("a.npy"), "--seed", "5"});
  vector<double> a = Values<double>(ReadNpy(Path("a.npy"))), d;
  ASSERT_EQ(a.size(), (size_t)n * n);
  long double mean = 0, m2 = 0;
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      long double sum = -(long double)a[(size_t)(i * n + j)];
      for (int k = 0; k < n; k++) sum += (long double)a[(size_t)(i * n + k)] * a[(size_t)(j * n + k)];
      d.push_back((double)sum);
      mean += sum / (n * n);
    }
  for (double x : d) m2 += (x - mean) * (x - mean) / (n * n);
  const string program = "a = random.uniform(size=(n, n)); ((a @ a.T) - a).std()";
  EXPECT_NEAR(atof(Calc({program, "n=40", "--seed", "5"}).c_str()), (double)std::sqrt(m2), 1e-12);
  // the same where nothing fits, printed to its last digits
  EXPECT_NEAR(atof(Calc({program, "n=700", "--budget", "1M", "--spill", dir}).c_str()), atof(Calc({program, "n=700"}).c_str()), 1e-9);
  EXPECT_EQ(Files(), vector<string>{"a.npy"});
}

TEST_F(ToolsCli, TallSvdIsExactToRounding) {
  const string program = "u, s, v = svd(a); max(abs(u * s @ v - a))";
  const double worst = atof(Calc({"a = random.uniform(size=(m, 32)); " + program, "m=20000"}).c_str());
  EXPECT_GT(worst, 0);
  EXPECT_LT(worst, 1e-12);
  EXPECT_LT(atof(Calc({program, "m=20000", "a=random.uniform(size=(m, 32))", "--budget", "2M", "--spill", dir}).c_str()), 1e-12);
  EXPECT_TRUE(Files().empty());
}

// u, s and v of one run, whose product is a and whose columns are orthonormal.
TEST_F(ToolsCli, SeveralFactorsAtOnce) {
  const size_t m = 50, n = 3;
  Calc({"u, s, v = linalg.svd(a, full_matrices=False)", "a=random.uniform(size=(50, 3))", "-o", "a=" + Path("a.npy"), "-o", "u=" + Path("u.npy"),
        "-o", "s=" + Path("s.npy"), "-o", "v=" + Path("v.npy")});
  vector<double> a = Values<double>(ReadNpy(Path("a.npy"))), u = Values<double>(ReadNpy(Path("u.npy"))),
                 s = Values<double>(ReadNpy(Path("s.npy"))), v = Values<double>(ReadNpy(Path("v.npy")));
  ASSERT_EQ(a.size(), m * n);
  ASSERT_EQ(u.size(), m * n);
  ASSERT_EQ(s.size(), n);
  ASSERT_EQ(v.size(), n * n);
  for (size_t i = 0; i < m; i++)
    for (size_t j = 0; j < n; j++) {
      double sum = 0;
      for (size_t k = 0; k < n; k++) sum += u[i * n + k] * s[k] * v[k * n + j];
      EXPECT_NEAR(sum, a[i * n + j], 1e-13) << i << " " << j;
    }
  for (size_t p = 0; p < n; p++)
    for (size_t q = 0; q < n; q++) {
      double uu = 0, vv = 0;
      for (size_t i = 0; i < m; i++) uu += u[i * n + p] * u[i * n + q];
      for (size_t k = 0; k < n; k++) vv += v[p * n + k] * v[q * n + k];
      EXPECT_NEAR(uu, p == q, 1e-13);
      EXPECT_NEAR(vv, p == q, 1e-13);
    }
  EXPECT_EQ(Calc({"svd(zeros((5, 3)))", "--shape"}), "float64 (5, 3)\nfloat64 (3,)\nfloat64 (3, 3)\n");
  EXPECT_EQ(Calc({"svd(zeros((5, 3)), full_matrices=True)", "--shape"}), "float64 (5, 5)\nfloat64 (3,)\nfloat64 (3, 3)\n");
  EXPECT_EQ(Calc({"w, v = eigh([[2., 0], [0, 1]]); w, v * v"}), "[1. 2.]\n[[0. 1.]\n [1. 0.]]\n");
}

TEST_F(ToolsCli, LinearAlgebra) {
  EXPECT_EQ(Calc({"einsum('ij,kj->ik', a, a), einsum('ii', a), tensordot(a, a), a.trace()", "a=array([[1, 2], [3, 4]])"}),
            "[[ 5 11]\n [11 25]]\n5\n30\n5\n");
  EXPECT_EQ(Calc({"kron([1, 2], [1, 1]), outer([1, 2], [3, 4]), dot([1, 2], [3, 4]), diag([1, 2]), tril(ones((2, 2))), a.diagonal()",
                  "a=arange(4).reshape(2, 2)"}),
            "[1 1 2 2]\n[[3 4]\n [6 8]]\n11\n[[1 0]\n [0 2]]\n[[1. 0.]\n [1. 1.]]\n[0 3]\n");
  EXPECT_EQ(Calc({"trace(a), linalg.trace(a)", "a=arange(8).reshape(2, 2, 2)"}), "[6 8]\n[ 3 11]\n");
  EXPECT_EQ(Calc({"cholesky([[4., 2], [2, 5]]), solve_triangular([[2., 0], [1, 2]], [2., 5], lower=True)"}), "[[2. 0.]\n [1. 2.]]\n[1. 2.]\n");
  EXPECT_EQ(Calc({"multi_dot([a, a, a]), matrix_power(a, 3)", "a=array([[1, 1], [0, 1]])"}), "[[1 3]\n [0 1]]\n[[1 3]\n [0 1]]\n");
  EXPECT_EQ(Calc({"abs(qr([[3.], [4.]], mode='r')), qr(zeros((3, 2)), 'complete')[0].shape"}), "[[5.]]\n(3, 3)\n");
  EXPECT_EQ(Calc({"norm([3, 4]), norm(a, 1), norm(a, inf), norm(a, 'nuc'), norm(a, axis=1), cond(a), matrix_rank(ones((3, 3)))",
                  "a=array([[2, 0], [0, 1]])"}),
            "5.0\n2.0\n2.0\n3.0\n[2. 1.]\n2.0\n1\n");
  EXPECT_EQ(Calc({"det(a), inv(a), solve(a, [2, 8]), pinv(a)", "a=array([[2., 0], [0, 4]])"}),
            "8.0\n[[0.5  0.  ]\n [0.   0.25]]\n[1. 2.]\n[[0.5  0.  ]\n [0.   0.25]]\n");
  EXPECT_EQ(Calc({"x, r, n, s = lstsq([[1, 0], [0, 1], [0, 0]], [1, 2, 3]); x, r, n, s"}), "[1. 2.]\n[9.]\n2\n[1. 1.]\n");
  EXPECT_LT(atof(Calc({"a = random.uniform(size=(300, 300)); p, l, u = lu(a); max(abs(p @ l @ u - a))", "--budget", "1M", "--spill", dir}).c_str()),
            1e-12);
  ExpectFailure({"calc", "1 + cholesky(a)", "a=zeros((2, 3))"}, 1, "  1 + cholesky(a)\n      ^\n");
  ExpectFailure({"calc", "cholesky(a)", "a=zeros((2, 2))"}, 1, "mars_cholesky");
}

TEST_F(ToolsCli, LargeResultsShowCorners) {
  EXPECT_EQ(Calc({"arange(10**12)"}), "[           0            1            2 ... 999999999997 999999999998\n 999999999999]\n");
  EXPECT_EQ(Calc({"arange(10**10).reshape(10**5, 10**5)"}),
            "[[         0          1          2 ...      99997      99998      99999]\n"
            " [    100000     100001     100002 ...     199997     199998     199999]\n"
            " [    200000     200001     200002 ...     299997     299998     299999]\n"
            " ...\n"
            " [9999700000 9999700001 9999700002 ... 9999799997 9999799998 9999799999]\n"
            " [9999800000 9999800001 9999800002 ... 9999899997 9999899998 9999899999]\n"
            " [9999900000 9999900001 9999900002 ... 9999999997 9999999998 9999999999]]\n");
  EXPECT_EQ(Calc({"arange(1000)"}).find("..."), string::npos);
}

TEST_F(ToolsCli, ShapeRunsNothing) {
  EXPECT_EQ(Calc({"random.uniform(size=(10**6, 10**6)).mean(axis=0)", "--shape"}), "float64 (1000000,)\n");
  EXPECT_EQ(Calc({"divmod(zeros((2, 3)), 2)", "--shape"}), "float64 (2, 3)\nfloat64 (2, 3)\n");
  EXPECT_EQ(Calc({"zeros(())", "--shape"}), "float64 ()\n");
}

TEST_F(ToolsCli, FilesInAndOut) {
  vector<double> x(1000);
  for (int i = 0; i < 1000; i++) x[i] = 0.5 * i;
  WriteNpy(Path("x.npy"), "<f8", "(10, 100)", x.data(), 8000);
  EXPECT_EQ(Calc({"(x + 1) * 2", "x=" + Path("x.npy"), "-o", Path("out.npy"), "--budget", "1M", "--spill", dir}), "");
  Npy out = ReadNpy(Path("out.npy"));
  EXPECT_NE(out.header.find("'descr': '<f8'"), string::npos) << out.header;
  EXPECT_NE(out.header.find("'shape': (10, 100)"), string::npos) << out.header;
  vector<double> y = Values<double>(out);
  ASSERT_EQ(y.size(), 1000u);
  for (int i = 0; i < 1000; i++) ASSERT_EQ(y[i], (x[i] + 1) * 2);
  EXPECT_EQ(Calc({"load('" + Path("x.npy") + "')[9, -1]"}), "499.5\n");
  EXPECT_EQ(Files().size(), 2u); // no temporary file
}

TEST_F(ToolsCli, SeveralOutputs) {
  Calc({"q, r = divmod(x, 7); s = q.sum()", "x=arange(100)", "-o", "q=" + Path("q.npy"), "-o", "r=" + Path("r.npy"), "-o", Path("s.npy"),
        "--dtype", "int32"});
  vector<int32_t> q = Values<int32_t>(ReadNpy(Path("q.npy"))), r = Values<int32_t>(ReadNpy(Path("r.npy"))),
                  s = Values<int32_t>(ReadNpy(Path("s.npy")));
  ASSERT_EQ(q.size(), 100u);
  ASSERT_EQ(r.size(), 100u);
  ASSERT_EQ(s.size(), 1u);
  int sum = 0;
  for (int i = 0; i < 100; i++) {
    EXPECT_EQ(q[i], i / 7);
    EXPECT_EQ(r[i], i % 7);
    sum += i / 7;
  }
  EXPECT_EQ(s[0], sum);
  ExpectFailure({"calc", "divmod(arange(3), 2)", "-o", Path("t.npy")}, 2, "give its parts names");
  ExpectFailure({"calc", "1", "-o", "nothing=" + Path("t.npy")}, 2, "no name 'nothing'");
  EXPECT_EQ(Files().size(), 3u);
}

TEST_F(ToolsCli, RandomDependsOnTheSeedOnly) {
  vector<string> base = {"random.standard_normal(size=5000).sum()", "--threads", "1"};
  string one = Calc(base);
  vector<string> chunked = base, seeded = base, threads = base;
  threads[2] = "2";
  seeded.insert(seeded.end(), {"--seed", "1"});
  EXPECT_EQ(Calc(threads), one);
  EXPECT_NE(Calc(seeded), one);
  string values = Calc({"random.uniform(size=100)"});
  EXPECT_EQ(Calc({"random.uniform(size=100)", "--chunk", "7"}), values);
  EXPECT_EQ(Calc({"random.uniform(size=100)", "--seed", "0"}), values);
}

TEST_F(ToolsCli, SpillsWithinTheBudget) {
  // sorted by nothing: the mean must be known before the second pass, and the data do not fit
  EXPECT_EQ(Calc({"x = cumsum(ones(4000000)); (x - x.mean()).sum()", "--budget", "8M", "--spill", dir, "--threads", "1"}), "0.0\n");
  EXPECT_EQ(Files().size(), 0u);
}

TEST_F(ToolsCli, ErrorsHaveAPlace) {
  Ran r = Mars({"calc", "arange(3) + (1 +"});
  EXPECT_EQ(r.code, 2);
  EXPECT_EQ(r.err, "mars: calc: the expression ends where an operand was expected\n  arange(3) + (1 +\n                  ^\n");
  r = Mars({"calc", "1 + arange(3) * arange(4)"});
  EXPECT_EQ(r.code, 1);
  EXPECT_NE(r.err.find("mars_multiply"), string::npos) << r.err;
  EXPECT_NE(r.err.find("\n  1 + arange(3) * arange(4)\n                ^\n"), string::npos) << r.err;
  r = Mars({"calc", "x + 1", "x=zeros(3) @@"});
  EXPECT_EQ(r.code, 2);
  EXPECT_NE(r.err.find("\n  zeros(3) @@\n            ^\n"), string::npos) << r.err;
}

TEST_F(ToolsCli, FailuresLeaveNothing) {
  vector<double> x(10);
  WriteNpy(Path("short.npy"), "<f8", "(1000,)", x.data(), 80);
  WriteNpy(Path("object.npy"), "|O", "(10,)", x.data(), 80);
  size_t before = Files().size();
  ExpectFailure({"calc", "x", "x=" + Path("none.npy")}, 1, "No such file");
  ExpectFailure({"calc", "x", "x=" + Path("short.npy")}, 1, "short.npy");
  ExpectFailure({"calc", "x", "x=" + Path("object.npy")}, 1, "object.npy");
  ExpectFailure({"calc", "zeros(3)", "-o", Path("none/out.npy")}, 1, "No such file");
  ExpectFailure({"calc", "zeros(3)", "-o", "/dev/full"}, 1, "/dev/full");
  ExpectFailure({"calc", "zeros(3)", "--spill", Path("none")}, 1, Path("none"));
  ExpectFailure({"calc", "zeros(10**18)", "-o", Path("huge.npy")}, 1, "huge.npy");
  ExpectFailure({"calc", "zeros((10**10, 10**10))"}, 1, "2**63");
  ExpectFailure({"calc", "zeros(3)", "--budget", "1K"}, 1, "bytes are needed");
  EXPECT_EQ(Files().size(), before);
}

TEST_F(ToolsCli, FullStandardOutputIsAnError) {
  Ran r = Spawn({"sh", "-c", string("'") + MARS_COMMAND + "' calc 'arange(5)' > /dev/full"});
  EXPECT_EQ(r.code, 1);
  EXPECT_NE(r.err.find("standard output"), string::npos) << r.err;
}

TEST_F(ToolsCli, Stats) {
  Ran tall = Mars({"calc", "svd(random.uniform(size=(4000, 8)))[1].sum() + 0 * qr(eye(300))[1].sum()", "--stats"});
  EXPECT_NE(tall.err.find("methods      svd by Cholesky QR"), string::npos) << tall.err;
  EXPECT_NE(tall.err.find("; qr by column panels"), string::npos) << tall.err;
  Ran r = Mars({"calc", "arange(1000).sum()", "--stats"});
  EXPECT_EQ(r.out, "499500\n");
  for (const char *part : {"tasks ", "time ", "memory ", "files ", "spill "}) EXPECT_NE(r.err.find(part), string::npos) << r.err;
}

TEST_F(ToolsCli, Plan) {
  vector<double> x(1000);
  WriteNpy(Path("x.npy"), "<f8", "(1000,)", x.data(), 8000);
  Ran r = Mars({"plan", "(x + 1) * 2", "x=" + Path("x.npy"), "-o", Path("out.npy")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_NE(r.out.find("multiply"), string::npos) << r.out;
  r = Mars({"plan", "(x + 1) * 2", "x=" + Path("x.npy"), "--dot"});
  EXPECT_EQ(r.out.rfind("digraph", 0), 0u) << r.out;
  ExpectFailure({"plan", "1 + 1"}, 2, "nothing to plan");
  EXPECT_EQ(Files().size(), 1u); // nothing was written
}

// A job that takes minutes and would write 32 GB.
const char kLong[] = "gammaln(gammaln(gammaln(gammaln(random.uniform(size=4*10**9)))))";

TEST_F(ToolsCli, InterruptLeavesNothing) {
  Ran r = Mars({"calc", kLong, "-o", Path("out.npy"), "--spill", dir, "--budget", "64M"}, 700);
  EXPECT_EQ(r.code, 130) << r.err;
  EXPECT_NE(r.err.find("cancelled"), string::npos) << r.err;
  EXPECT_EQ(Files().size(), 0u);
}

TEST_F(ToolsCli, ProgressOnATerminal) {
  int terminal;
  pid_t pid = forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    execl(MARS_COMMAND, "mars", "calc", kLong, "-o", Path("out.npy").c_str(), "--budget", "64M", (char *)nullptr);
    _exit(127);
  }
  string text;
  bool interrupted = false;
  for (;;) {
    char buffer[4096];
    pollfd fd = {terminal, POLLIN, 0};
    if (poll(&fd, 1, 20000) <= 0) break;
    ssize_t n = read(terminal, buffer, sizeof buffer);
    if (n <= 0) break; // the terminal is closed when the command has ended
    text.append(buffer, (size_t)n);
    if (!interrupted && text.find("tasks/s") != string::npos) {
      interrupted = write(terminal, "\x03", 1) == 1; // Ctrl-C
    }
  }
  close(terminal);
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(interrupted) << text;
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_NE(text.find("% "), string::npos) << text;
  EXPECT_NE(text.find("\r\x1b[K"), string::npos) << text; // the line is taken away
  EXPECT_NE(text.find("cancelled"), string::npos) << text;
  EXPECT_EQ(Files().size(), 0u);
}

TEST_F(ToolsCli, NoProgressInAPipe) {
  Ran r = Mars({"calc", "gammaln(random.uniform(size=10**7)).sum()"});
  EXPECT_EQ(r.code, 0);
  EXPECT_EQ(r.err, "");
}

// ---- the tree itself ------------------------------------------------------------------------------------

TEST(ToolsTree, ReadmeExampleIsTheOneThatIsBuilt) {
  string readme = Slurp(string(MARS_SOURCE) + "/README.md"), code = Slurp(string(MARS_SOURCE) + "/tools/examples/ten_lines.c");
  size_t first = readme.find("```c\n");
  ASSERT_NE(first, string::npos);
  first += 5;
  size_t last = readme.find("```\n", first);
  ASSERT_NE(last, string::npos);
  EXPECT_EQ(readme.substr(first, last - first), code);
}

TEST(ToolsTree, ReadmeExampleRuns) {
  Ran r = Spawn({MARS_TEN_LINES});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_EQ(r.out, "0.2887\n");
}

TEST(ToolsTree, LayeringIsChecked) {
  char dir[] = "/tmp/mars_layers_XXXXXX";
  ASSERT_NE(mkdtemp(dir), nullptr);
  string root = dir, check = string(MARS_SOURCE) + "/tools/check_includes";
  for (const char *d : {"engine", "host", "io", "tools"}) mkdir((root + "/" + d).c_str(), 0755);
  std::ofstream(root + "/engine/a.c") << "#include \"engine/b.h\"\n#include <mars/mars.h>\n";
  std::ofstream(root + "/host/a.c") << "#include \"engine/b.h\"\n#include <hwloc.h>\n#include \"host/c.h\"\n";
  EXPECT_EQ(Spawn({check, root}).code, 0);
  std::ofstream(root + "/engine/c.c") << "#include \"host/c.h\"\n# include <liburing.h>\n#include \"../io/x.h\"\n";
  std::ofstream(root + "/host/d.h") << "\n#include \"io/internal.h\"\n";
  std::ofstream(root + "/tools/e.c") << "#include \"engine/b.h\"\n";
  Ran r = Spawn({check, root});
  EXPECT_EQ(r.code, 1);
  for (const char *line : {"engine/c.c:1:", "engine/c.c:2:", "engine/c.c:3:", "host/d.h:2:", "tools/e.c:1:", "5 violations"})
    EXPECT_NE(r.out.find(line), string::npos) << line << "\n" << r.out;
  Spawn({"rm", "-rf", root});
}

// Python stands in for its own pip, whose wheels hold a file for each header and NVRTC; other calls are passed on.
TEST(ToolsTree, SetupMakesAToolkitOfWheels) {
  char root[] = "/tmp/mars_setup_XXXXXX";
  ASSERT_NE(mkdtemp(root), nullptr);
  const string at = root, python = Spawn({"/bin/sh", "-c", "command -v python3"}).out;
  if (python.empty()) GTEST_SKIP() << "there is no python3";
  auto script = [&](const string &name, const string &text) {
    std::ofstream(at + "/" + name) << "#!/bin/sh\n" << text;
    chmod((at + "/" + name).c_str(), 0700);
  };
  script("dpkg-query", "echo installed\n");
  script("python3", "[ \"$1\" = -m ] || exec " + python.substr(0, python.find('\n')) + R"( "$@"
[ ! -e "${0%/*}/offline" ] || exit 1
while [ "$1" != -d ]; do shift; done
exec "$0" - "$2" "$3" <<'END'
import sys, zipfile
to, name = sys.argv[1:]
with zipfile.ZipFile(f"{to}/{name.split('==')[0]}.whl", "w") as z:
    if "runtime" in name:
        for h in "cuda nvrtc cublas_v2 cusolverDn cusparse cufft crt/host_config".split(): z.writestr(f"nvidia/cu13/include/{h}.h", h)
    if "nccl" in name: z.writestr("nvidia/nccl/include/nccl.h", "nccl")
    if "nvrtc" in name: z.writestr("nvidia/cu13/lib/libnvrtc.so.13", "code"); z.writestr("nvidia/cu13/lib/libnvrtc.alt.so.13", "code")
    z.writestr("nvidia/cu13/lib/libother.so.13", "code"); z.writestr("nvidia/cu13/include/../../../../escaped.h", "bad")
END
)");
  auto setup = [&] {
    return Spawn({"/usr/bin/env", "PATH=" + at + ":/usr/bin:/bin", string(MARS_SOURCE) + "/tools/setup", "--cuda=" + at + "/cuda"});
  };
  std::ofstream(at + "/offline") << "";
  Ran without = setup(); // nothing comes: told, and not an error
  EXPECT_EQ(without.code, 0);
  EXPECT_NE(without.err.find("the tests of GPUs skip"), string::npos) << without.err;
  EXPECT_FALSE(std::filesystem::exists(at + "/cuda") || std::filesystem::exists(at + "/cuda.part"));
  unlink((at + "/offline").c_str());
  Ran with = setup();
  EXPECT_EQ(with.code, 0) << with.err;
  EXPECT_NE(with.out.find("say CUDA_HOME=" + at + "/cuda"), string::npos) << with.out << with.err;
  std::vector<string> files;
  for (const auto &e : std::filesystem::recursive_directory_iterator(at + "/cuda"))
    if (e.is_regular_file()) files.push_back(e.path().filename());
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, (std::vector<string>{"cublas_v2.h", "cuda.h", "cufft.h", "cusolverDn.h", "cusparse.h", "host_config.h", "libnvrtc.so.13",
                                        "nccl.h", "nvrtc.h"}));
  std::ofstream(at + "/offline") << "";
  EXPECT_NE(setup().out.find("are in " + at + "/cuda\n"), string::npos); // it is there: nothing is loaded
  std::filesystem::remove_all(at);
}

TEST(ToolsTree, ScriptsExplainThemselves) {
  for (const char *script : {"setup", "run", "test"}) {
    string path = string(MARS_SOURCE) + "/tools/" + script;
    Ran r = Spawn({path, "--help"});
    EXPECT_EQ(r.code, 0) << script;
    EXPECT_NE(r.out.find("usage: tools/" + string(script)), string::npos) << r.out;
    EXPECT_EQ(Spawn({path, "--nonsense"}).code, 2) << script;
  }
}

} // namespace
