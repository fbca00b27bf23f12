// What ptxas reports of the kernels of one program: stack frames and spills.
#ifndef TESTS_CUDA_REPORT_H
#define TESTS_CUDA_REPORT_H

#include <cstdio>
#include <map>
#include <string>

struct KernelReport {
  size_t stack = 0, spill_stores = 0, spill_loads = 0; // bytes a thread
};

// By the kernel's name. Malformed entries are left out: whoever knows how many there must be notices.
inline std::map<std::string, KernelReport> kernel_reports(const std::string &log) {
  const std::string head = "Function properties for ";
  std::map<std::string, KernelReport> out;
  for (size_t at = log.find(head); at != std::string::npos; at = log.find(head, at + 1)) {
    const size_t name = at + head.size(), end = log.find(" bytes stack frame", at);
    if (end == std::string::npos) break;
    const size_t number = log.find_last_not_of("0123456789", end - 1) + 1;
    KernelReport r;
    if (sscanf(log.c_str() + number, "%zu bytes stack frame, %zu bytes spill stores, %zu bytes spill loads", &r.stack, &r.spill_stores, &r.spill_loads) == 3)
      out[log.substr(name, log.find_first_of(" \r\n", name) - name)] = r;
  }
  return out;
}

#endif
