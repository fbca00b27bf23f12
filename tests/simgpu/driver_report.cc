/* Failed checks: kept in memory, appended to the report file, and what is still live when the process ends. */
#include "driver_core.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace sg {
namespace {

struct Report {
  std::mutex mutex;
  std::string path;
  std::vector<std::string> texts;
};
Report &report() {
  static Report *r = new Report;
  return *r;
}

void append(const std::string &path, const std::string &line) {
  if (path.empty()) return;
  FILE *f = fopen(path.c_str(), "a");
  if (f == nullptr) return;
  fprintf(f, "%s\n", line.c_str());
  fclose(f);
}

/* What the application did not give back. Asked at the end only: contexts and pools may live until then. */
std::string leaks(const sg_sim_live_info &live) {
  std::string out;
  auto add = [&](size_t n, const char *what) {
    if (n == 0) return;
    if (!out.empty()) out += ", ";
    out += std::to_string(n) + " " + what;
  };
  add(live.device_bytes, "bytes of device memory");
  add(live.pinned_bytes, "bytes of pinned memory");
  add(live.registered_bytes, "bytes registered");
  add(size_t(live.streams), "streams");
  add(size_t(live.events), "events");
  add(size_t(live.modules), "modules");
  add(size_t(live.contexts), "contexts");
  add(size_t(live.pools), "pools");
  add(size_t(live.communicators), "communicators");
  add(size_t(live.handles), "library handles");
  return out;
}

__attribute__((destructor)) void at_exit() {
  sg_sim_live_info live;
  sg_sim_live(&live);
  std::string text = leaks(live);
  if (text.empty()) return;
  Report &r = report();
  std::lock_guard<std::mutex> guard(r.mutex);
  append(r.path, "leak at exit: " + text);
}

} // namespace

void fail_check(const char *format, ...) {
  char text[1024];
  va_list args;
  Report &r = report();

  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  std::lock_guard<std::mutex> guard(r.mutex);
  if (r.texts.size() < 10000) r.texts.push_back(text);
  append(r.path, std::string("failed check: ") + text);
}

size_t failed_checks() {
  Report &r = report();
  std::lock_guard<std::mutex> guard(r.mutex);
  return r.texts.size();
}

std::string failed_check(size_t i) {
  Report &r = report();
  std::lock_guard<std::mutex> guard(r.mutex);
  return i < r.texts.size() ? r.texts[i] : std::string();
}

void forget_failed_checks() {
  Report &r = report();
  std::lock_guard<std::mutex> guard(r.mutex);
  r.texts.clear();
}

void set_report_file(const std::string &path) {
  Report &r = report();
  std::lock_guard<std::mutex> guard(r.mutex);
  r.path = path;
}

} // namespace sg
