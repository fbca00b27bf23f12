// mars-bench as its users run it, at tiny sizes: the JSON's keys and values, exit statuses, nothing left
// behind.
#include "tests/bench_util.h"

using namespace bench;

namespace {

void expect_row(const Json &row, const char *suite, bool limit) {
  const std::vector<std::string> keys = {"suite",
                                         "case",
                                         "size",
                                         "dtype",
                                         "threads",
                                         "seconds",
                                         "rate",
                                         "unit",
                                         "limit",
                                         "hand",
                                         "peers",
                                         "result",
                                         "correct",
                                         "budget_bytes",
                                         "peak_rss_bytes",
                                         "spill_written_bytes",
                                         "spill_read_bytes",
                                         "tasks",
                                         "plan_seconds"};
  const std::string name = row.at("suite").text + ":" + row.at("case").text;
  SCOPED_TRACE(name);
  EXPECT_EQ(row.keys(), keys);
  EXPECT_EQ(row.at("suite").text, suite);
  EXPECT_TRUE(row.at("correct").flag);
  for (const char *positive :
       {"size", "threads", "seconds", "rate", "budget_bytes", "peak_rss_bytes", "tasks"})
    EXPECT_GT(row.at(positive).number, 0) << positive;
  for (const char *number : {"spill_written_bytes", "spill_read_bytes", "plan_seconds"})
    EXPECT_EQ(row.at(number).kind, Json::kNumber) << number;
  EXPECT_EQ(row.at("peers").kind, Json::kList);
  EXPECT_FALSE(row.at("unit").text.empty());
  ASSERT_EQ(row.at("limit").kind, limit ? Json::kObject : Json::kNull);
  ASSERT_EQ(row.at("hand").kind, limit ? Json::kObject : Json::kNull);
  if (!limit)
    return;
  EXPECT_EQ(row.at("limit").keys(), (std::vector<std::string>{"name", "value", "fraction"}));
  EXPECT_GT(row.at("limit").at("value").number, 0);
  EXPECT_GT(row.at("limit").at("fraction").number, 0);
  EXPECT_EQ(row.at("hand").keys(), (std::vector<std::string>{"seconds", "ratio"}));
  EXPECT_GT(row.at("hand").at("ratio").number, 0);
}

TEST_F(Bench, ListNamesEverySuite) {
  ASSERT_EQ(run({"list"}), 0);
  const std::string out = "\n" + read("out");
  for (const char *suite : {"pi", "scale", "axpb", "stream", "reduce", "chain", "aat", "tssvd", "matmul", "factor", "plan", "overhead"})
    EXPECT_NE(out.find(std::string("\n") + suite + " "), std::string::npos) << suite;
}

TEST_F(Bench, WrongUsageIsStatus2) {
  EXPECT_EQ(run({}), 2);
  EXPECT_EQ(run({"fly"}), 2);
  EXPECT_EQ(run({"run"}), 2);
  EXPECT_EQ(run({"run", "nothing"}), 2);
  EXPECT_NE(read("out").find("'nothing'"), std::string::npos);
  EXPECT_EQ(run({"run", "reduce:nothing"}), 2);
  for (const char *size : {"0", "-5", "x", "1e99", "12q", "nan"})
    EXPECT_EQ(run({"run", "pi", "--size", size}), 2) << size;
  EXPECT_EQ(run({"run", "pi", "--size"}), 2);
  EXPECT_EQ(run({"run", "pi", "--repeat", "1000"}), 2);
  EXPECT_EQ(run({"run", "pi", "--peers", "fortran"}), 2);
  EXPECT_EQ(run({"run", "pi", "--unknown"}), 2);
}

TEST_F(Bench, MissingSpillDirectoryFails) {
  EXPECT_EQ(run({"run", "pi", "--size", "1000", "--spill", dir_ + "/none"}), 1);
  EXPECT_NE(read("out").find("/none"), std::string::npos);
}

TEST_F(Bench, Pi) {
  const Json all = rows({"pi", "--size", "200001"});
  ASSERT_EQ(all.items.size(), 1u);
  expect_row(all.items[0], "pi", true);
  EXPECT_EQ(all.items[0].at("size").number, 200001);
  EXPECT_EQ(all.items[0].at("limit").at("name").text, "philox");
  EXPECT_NEAR(all.items[0].at("result").number, M_PI, 0.03);
}

TEST_F(Bench, ScaleAndAxpb) {
  const Json all = rows({"scale:memory", "axpb:memory", "--size", "100003", "--budget", "64M"});
  ASSERT_EQ(all.items.size(), 2u);
  expect_row(all.items[0], "scale", true);
  expect_row(all.items[1], "axpb", true);
  EXPECT_EQ(all.items[0].at("budget_bytes").number, 64.0 * 1048576);
  EXPECT_EQ(all.items[1].at("result").number, 2 * (all.items[0].at("result").number / 2 + 1));
}

TEST_F(Bench, SpilledResultLargerThanTheBudget) {
  const Json all = rows({"scale:spill", "--size", "6000000", "--budget", "16M"});
  ASSERT_EQ(all.items.size(), 1u);
  expect_row(all.items[0], "scale", true);
  EXPECT_EQ(all.items[0].at("result").number, 2.0 * 5999999);
  EXPECT_GT(all.items[0].at("spill_written_bytes").number, 6e6 * 8 - 16 * 1048576);
}

TEST_F(Bench, Stream) {
  const Json all = rows({"stream", "--size", "20000000", "--budget", "16M"});
  ASSERT_EQ(all.items.size(), 1u);
  expect_row(all.items[0], "stream", true);
#ifndef __SANITIZE_ADDRESS__ // whose shadow and quarantine count as resident
  EXPECT_LE(all.items[0].at("peak_rss_bytes").number, (16 + 64) * 1048576.0);
#endif
}

TEST_F(Bench, Reduce) {
  const Json all = rows({"reduce", "--size", "320000", "--budget", "32M"});
  ASSERT_EQ(all.items.size(), 10u);
  for (const Json &row : all.items)
    expect_row(row, "reduce", true);
  EXPECT_EQ(all.items[0].at("case").text, "sum");
  EXPECT_EQ(all.items[2].at("result").number,
            all.items[7].at("result").number); // argmax: from memory, from the file
}

TEST_F(Bench, Chain) {
  const Json all = rows({"chain", "--size", "10000"});
  ASSERT_EQ(all.items.size(), 22u); // ten and their mean, in f64 and f32
  for (const Json &row : all.items)
    expect_row(row, "chain", true);
  EXPECT_EQ(all.items[10].at("case").text, "geomean");
  EXPECT_EQ(all.items[10].at("dtype").text, "f64");
  EXPECT_EQ(all.items[21].at("dtype").text, "f32");
  double product = 0;
  for (int i = 0; i < 10; i++)
    product += std::log(all.items[i].at("hand").at("ratio").number);
  EXPECT_NEAR(std::log(all.items[10].at("hand").at("ratio").number), product / 10, 1e-9);
}

TEST_F(Bench, StandardDeviationOfAProduct) {
  const Json all = rows({"aat", "--size", "600", "--budget", "4M"});
  ASSERT_EQ(all.items.size(), 2u);
  for (const Json &row : all.items)
    expect_row(row, "aat", true);
  EXPECT_EQ(all.items[0].at("case").text, "memory");
  EXPECT_EQ(all.items[1].at("case").text, "budget");
  EXPECT_NEAR(all.items[0].at("result").number, all.items[1].at("result").number, 1e-9); // the same numbers
  EXPECT_NEAR(all.items[0].at("result").number, std::sqrt(600.0 / 18), 0.6);
  EXPECT_EQ(read("out").find("left out"), std::string::npos) << read("out"); // hand and limit ran, and hand agreed
#ifndef __SANITIZE_ADDRESS__
  EXPECT_LE(all.items[1].at("peak_rss_bytes").number, (4 + 64) * 1048576.0);
#endif
}

TEST_F(Bench, TallSvd) {
  const Json all = rows({"tssvd", "--size", "40000", "--budget", "4M"});
  ASSERT_EQ(all.items.size(), 1u);
  expect_row(all.items[0], "tssvd", true);
  EXPECT_EQ(all.items[0].at("unit").text, "Mrows/s");
  EXPECT_GT(all.items[0].at("result").number, 0);
  EXPECT_LT(all.items[0].at("result").number, 1e-12);
  EXPECT_NE(read("out").find("8e8 rows at this rate"), std::string::npos);
}

TEST_F(Bench, Matmul) {
  const Json all = rows({"matmul", "--size", "200"});
  ASSERT_EQ(all.items.size(), 3u);
  for (const Json &row : all.items)
    expect_row(row, "matmul", true);
  EXPECT_EQ(all.items[1].at("dtype").text, "f32");
  EXPECT_NEAR(all.items[1].at("result").number, all.items[0].at("result").number, 1e-3);
  EXPECT_EQ(all.items[2].at("size").number, 64);
  EXPECT_NEAR(all.items[2].at("rate").number, all.items[2].at("seconds").number / 200 * 1e6, 1e-6);
}

TEST_F(Bench, Factor) {
  const Json all = rows({"factor", "--size", "300", "--budget", "2M"});
  ASSERT_EQ(all.items.size(), 4u);
  for (const Json &row : all.items)
    expect_row(row, "factor", true);
  EXPECT_EQ(all.items[3].at("case").text, "solve");
}

TEST_F(Bench, PlanAndOverhead) {
  const Json all = rows({"plan", "overhead", "--size", "4000"});
  ASSERT_EQ(all.items.size(), 2u);
  expect_row(all.items[0], "plan", false);
  expect_row(all.items[1], "overhead", false);
  EXPECT_GE(all.items[0].at("tasks").number, 4000);
  EXPECT_GT(all.items[0].at("plan_seconds").number, 0);
}

TEST_F(Bench, PeersThatAreThereAreInTheRow) {
  const Json all = rows({"axpb:memory", "--size", "10000", "--peers", "all"});
  ASSERT_EQ(all.items.size(), 1u);
  const char *python = getenv("MARS_BENCH_PYTHON");
  const std::string import = std::string(python != nullptr ? python : "/usr/bin/python3") + " -c 'import ";
  for (const char *name : {"numpy", "numexpr", "dask"}) {
    const bool installed = system((import + name + "' 2>/dev/null").c_str()) == 0;
    bool found = false;
    for (const Json &p : all.items[0].at("peers").items) {
      if (p.at("name").text != name)
        continue;
      found = true;
      EXPECT_EQ(p.keys(), (std::vector<std::string>{"name", "version", "seconds", "ratio"}));
      EXPECT_FALSE(p.at("version").text.empty());
      EXPECT_GT(p.at("seconds").number, 0);
      EXPECT_GT(p.at("ratio").number, 0);
    }
    EXPECT_EQ(found, installed) << name;
  }
}

TEST_F(Bench, PeersThatAreMissingAreLeftOut) {
  setenv("MARS_BENCH_PYTHON", "/nonexistent/python", 1);
  const Json all = rows({"scale:memory", "--size", "1000", "--peers", "numpy"});
  unsetenv("MARS_BENCH_PYTHON");
  ASSERT_EQ(all.items.size(), 1u);
  EXPECT_TRUE(all.items[0].at("peers").items.empty());
  EXPECT_NE(read("out").find("numpy left out"), std::string::npos);
}

// The fixture's end finds the directory empty.
TEST_F(Bench, InterruptedRunLeavesNothing) {
  const pid_t pid = start({"run", "stream", "--size", "1e9", "--spill", dir_});
  int status = 0;
  usleep(700000);
  kill(pid, SIGINT);
  waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130) << read("out");
}

} // namespace
