/* The settings of the simulated platform. README.md, section Environment, describes them. */
#include "driver_core.h"

#include <cstdlib>
#include <cstring>
#include <sstream>

namespace sg {
namespace {

std::vector<std::string> split(const std::string &text, const char *separators) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at <= text.size()) {
    size_t end = text.find_first_of(separators, at);
    if (end == std::string::npos) end = text.size();
    if (end > at) out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

bool number(const std::string &text, uint64_t *out, bool suffix = false) {
  char *end;
  if (text.empty() || text[0] < '0' || text[0] > '9') return false;
  *out = strtoull(text.c_str(), &end, 0);
  if (suffix && *end != '\0') {
    static const char units[] = "KMGT";
    const char *unit = strchr(units, *end);
    if (unit == nullptr) return false;
    *out <<= 10 * (unit - units + 1);
    end++;
    if (*end == 'i') end++;
    if (*end == 'B') end++;
  }
  return *end == '\0';
}

bool link_of(const std::string &word, Link *out) {
  if (word == "none") *out = Link::none;
  else if (word == "pcie") *out = Link::pcie;
  else if (word == "nvlink") *out = Link::nvlink;
  else return false;
  return true;
}

bool parse_links(const std::string &text, Config *config) {
  size_t n = size_t(config->devices);
  std::vector<std::string> rows = split(text, ";/");
  Link all;

  config->links.assign(n, std::vector<Link>(n, Link::pcie));
  if (rows.size() == 1 && link_of(rows[0], &all)) {
    config->links.assign(n, std::vector<Link>(n, all));
    return true;
  }
  if (rows.size() != n) return false;
  for (size_t i = 0; i < n; i++) {
    std::vector<std::string> entries = split(rows[i], ",");
    if (entries.size() != n) return false;
    for (size_t j = 0; j < n; j++)
      if (!link_of(entries[j], &config->links[i][j])) return false;
  }
  return true;
}

bool parse_fault(const std::string &text, FaultPlan *plan) {
  FaultPlan fresh;
  if (text != "none")
    for (const std::string &one : split(text, ",")) {
      std::vector<std::string> part = split(one, ":");
      uint64_t a, b;
      if (part.size() < 2 || part.size() > 3 || !number(part[1], &a)) return false;
      if (part[0] == "lose") {
        if (part.size() != 3 || !number(part[2], &b)) return false;
        fresh.losses.push_back({int(a), b});
        continue;
      }
      FaultPlan::Entry e = {Kind::plain, false, false, a, false};
      if (part[0] == "alloc") e.kind = Kind::alloc;
      else if (part[0] == "copy") e.kind = Kind::copy;
      else if (part[0] == "launch") e.kind = Kind::launch;
      else if (part[0] == "nccl") e.nccl = true;
      else if (part[0] == "call") e.any_call = true;
      else return false;
      if (part.size() == 3) {
        if (part[2] != "sticky" || (e.kind != Kind::copy && e.kind != Kind::launch)) return false;
        e.sticky = true;
      }
      fresh.entries.push_back(e);
    }
  *plan = fresh;
  return true;
}

bool set(const std::string &name, const std::string &value, Config *config, FaultPlan *faults) {
  uint64_t n;

  if (name == "devices") {
    if (!number(value, &n) || n > 64) return false;
    config->devices = int(n);
    config->links.assign(n, std::vector<Link>(n, Link::pcie));
    return true;
  }
  if (name == "bytes") {
    if (!number(value, &n, true)) return false;
    config->bytes = n;
    return true;
  }
  if (name == "cc") {
    int major, minor;
    char rest;
    if (sscanf(value.c_str(), "%d.%d%c", &major, &minor, &rest) != 2 || major < 5 || minor < 0 || minor > 9) return false;
    config->cc_major = major;
    config->cc_minor = minor;
    return true;
  }
  if (name == "links") return parse_links(value, config);
  if (name == "seed") return number(value, &config->seed);
  if (name == "driver") {
    if (!number(value, &n) || n < 1000 || n > 99999) return false;
    config->driver = int(n);
    return true;
  }
  if (name == "report") {
    config->report = value;
    return true;
  }
  if (name == "guard") {
    if (!number(value, &n) || n > 1) return false;
    config->guard = n != 0;
    return true;
  }
  if (name == "machine") {
    config->machine = value;
    return true;
  }
  if (name == "fault") return parse_fault(value, faults);
  return false;
}

} // namespace

bool config_parse(const std::string &text, Config *config, FaultPlan *faults, std::string *why) {
  Config c = *config;
  FaultPlan f;
  std::vector<std::string> words = split(text, " \t\n");

  f.entries = faults->entries;
  f.losses = faults->losses;
  for (int late = 0; late < 2; late++) /* the number of devices decides the shape of the matrix of links */
    for (const std::string &word : words) {
      size_t equals = word.find('=');
      std::string name = word.substr(0, equals), lower;
      if (name.rfind("MARS_SIMGPU_", 0) == 0) name = name.substr(strlen("MARS_SIMGPU_"));
      for (char ch : name) lower += char(tolower(ch));
      if ((lower == "links") != (late == 1)) continue;
      if (equals == std::string::npos || !set(lower, word.substr(equals + 1), &c, &f)) {
        *why = "not understood: " + word;
        return false;
      }
    }
  if (c.links.size() != size_t(c.devices))
    c.links.assign(size_t(c.devices), std::vector<Link>(size_t(c.devices), Link::pcie));
  *config = c;
  *faults = f;
  return true;
}

bool config_from_environment(Config *config, FaultPlan *faults, std::string *why) {
  static const char *const names[] = {"DEVICES", "BYTES", "CC", "LINKS", "SEED", "DRIVER", "FAULT", "REPORT", "GUARD", "MACHINE"};
  std::string text;
  for (const char *name : names) {
    const char *value = getenv((std::string("MARS_SIMGPU_") + name).c_str());
    if (value != nullptr && value[0] != '\0') text += std::string(name) + "=" + value + " ";
  }
  *config = Config();
  *faults = FaultPlan();
  return config_parse(text, config, faults, why);
}

} // namespace sg
