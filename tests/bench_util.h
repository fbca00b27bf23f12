// Shared by the tests of mars-bench: running it, and the JSON that it writes.
#ifndef TESTS_BENCH_UTIL_H
#define TESTS_BENCH_UTIL_H

#include <gtest/gtest.h>

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bench {

// ---- just enough JSON: objects keep their keys' order -----------------------------------------------------

struct Json {
  enum Kind { kNull, kBool, kNumber, kText, kList, kObject } kind = kNull;
  bool flag = false;
  double number = 0;
  std::string text;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  const Json &at(const std::string &key) const {
    for (const auto &m : members)
      if (m.first == key)
        return m.second;
    throw std::runtime_error("no key " + key);
  }
  std::vector<std::string> keys() const {
    std::vector<std::string> all;
    for (const auto &m : members)
      all.push_back(m.first);
    return all;
  }
};

class Parser {
public:
  explicit Parser(const std::string &s) : p_(s.c_str()) {}
  Json all() {
    Json j = value();
    skip();
    if (*p_ != '\0')
      fail("text behind the value");
    return j;
  }

private:
  [[noreturn]] void fail(const std::string &why) {
    throw std::runtime_error(why + " at: " + std::string(p_).substr(0, 40));
  }
  void skip() {
    while (*p_ != '\0' && strchr(" \n\r\t", *p_) != nullptr)
      p_++;
  }
  bool take(char c) {
    skip();
    if (*p_ != c)
      return false;
    p_++;
    return true;
  }
  void need(char c) {
    if (!take(c))
      fail(std::string("expected ") + c);
  }
  bool word(const char *w) {
    if (strncmp(p_, w, strlen(w)) != 0)
      return false;
    p_ += strlen(w);
    return true;
  }
  std::string string() {
    need('"');
    std::string s;
    for (; *p_ != '"'; p_++) {
      if (*p_ == '\0' || *p_ == '\\')
        fail("plain text expected");
      s += *p_;
    }
    p_++;
    return s;
  }
  Json value() {
    Json j;
    skip();
    if (*p_ == '{') {
      j.kind = Json::kObject;
      p_++;
      if (!take('}')) {
        do {
          skip();
          std::string key = string();
          need(':');
          j.members.emplace_back(key, value());
        } while (take(','));
        need('}');
      }
    } else if (*p_ == '[') {
      j.kind = Json::kList;
      p_++;
      if (!take(']')) {
        do
          j.items.push_back(value());
        while (take(','));
        need(']');
      }
    } else if (*p_ == '"') {
      j.kind = Json::kText;
      j.text = string();
    } else if (word("null")) {
      j.kind = Json::kNull;
    } else if (word("true")) {
      j.kind = Json::kBool;
      j.flag = true;
    } else if (word("false")) {
      j.kind = Json::kBool;
    } else {
      char *end;
      j.kind = Json::kNumber;
      j.number = strtod(p_, &end);
      if (end == p_)
        fail("no value");
      p_ = end;
    }
    return j;
  }
  const char *p_;
};

// ---- running it -------------------------------------------------------------------------------------------

class Bench : public testing::Test {
protected:
  void SetUp() override {
    const char *base = getenv("TMPDIR");
    dir_ = std::string(base != nullptr ? base : "/tmp") + "/bench-test-XXXXXX";
    ASSERT_NE(mkdtemp(&dir_[0]), nullptr);
  }
  void TearDown() override {
    unlink((dir_ + "/rows.json").c_str());
    unlink((dir_ + "/out").c_str());
    EXPECT_EQ(rmdir(dir_.c_str()), 0) << "files were left in " << dir_;
  }

  pid_t start(const std::vector<std::string> &args) {
    const pid_t pid = fork();
    if (pid == 0) {
      std::vector<char *> argv = {(char *)"mars-bench"};
      for (const auto &a : args)
        argv.push_back((char *)a.c_str());
      argv.push_back(nullptr);
      if (freopen((dir_ + "/out").c_str(), "w", stdout) == nullptr)
        _exit(126);
      dup2(1, 2);
      execv(MARS_BENCH_BINARY, argv.data());
      _exit(126);
    }
    return pid;
  }
  int run(const std::vector<std::string> &args) {
    int status = 0;
    const pid_t pid = start(args);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  std::string read(const char *name) {
    std::ifstream f(dir_ + "/" + name);
    std::stringstream s;
    s << f.rdbuf();
    return s.str();
  }
  // Run suites and give the rows; the exit status must be 0.
  Json rows(std::vector<std::string> args, const char *repeat = "2") {
    args.insert(args.begin(), "run");
    args.insert(args.end(), {"--repeat", repeat, "--spill", dir_, "--json", dir_ + "/rows.json"});
    EXPECT_EQ(run(args), 0) << read("out");
    return Parser(read("rows.json")).all();
  }

  std::string dir_;
};

} // namespace bench
#endif
