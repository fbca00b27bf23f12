/* Protected pages of pending copies. Contract: driver_guard.h. */
#include "driver_core.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

namespace sg {
namespace {

constexpr int frames_kept = 12;
constexpr size_t most_runs = 4096; /* each splits a mapping, of which a process may have some 65,000 */

struct Guard {
  Touch bytes;
  Ticket ticket;
  const char *what;
  pid_t thread; /* which queued it */
  void *frames[frames_kept];
  int depth;
};

struct Guards {
  std::atomic_flag busy = ATOMIC_FLAG_INIT; /* no std::mutex: the handler takes it */
  std::vector<Guard> all;
  std::atomic<size_t> count{0};
  size_t runs = 0;
  uint64_t changes = 1;
  struct sigaction before;
  std::atomic<bool> installed{false};
};
Guards &guards() {
  static Guards *g = new Guards;
  return *g;
}

class Hold {
public:
  Hold() {
    while (guards().busy.test_and_set(std::memory_order_acquire)) sched_yield();
  }
  ~Hold() { guards().busy.clear(std::memory_order_release); }
};

thread_local int inside;
struct Fault {
  uintptr_t at;
  uint64_t changes;
  int again;
};
thread_local Fault last_fault; /* of this thread's that belonged to no guard */

size_t page_bytes() {
  static const size_t page = size_t(sysconf(_SC_PAGESIZE));
  return page;
}

/* The whole pages of every run: pages at the ends hold bytes of others too. */
template <class F> void each_run(const Touch &t, F f) {
  size_t page = page_bytes(), rows = t.whole() ? 1 : t.rows, width = t.whole() ? t.width * t.rows : t.width;
  for (size_t r = 0; r < rows; r++) {
    uintptr_t first = (t.base + r * t.pitch + page - 1) / page * page, end = (t.base + r * t.pitch + width) / page * page;
    if (end > first) f(first, end - first);
  }
}

size_t runs_of(const Touch &t) {
  size_t n = 0;
  each_run(t, [&](uintptr_t, size_t) { n++; });
  return n;
}

bool holds(const Guard &g, uintptr_t at) {
  bool found = false;
  each_run(g.bytes, [&](uintptr_t first, size_t bytes) { found |= at >= first && at - first < bytes; });
  return found;
}

void open_pages(const Guard &g) {
  each_run(g.bytes, [&](uintptr_t first, size_t bytes) { mprotect(reinterpret_cast<void *>(first), bytes, PROT_READ | PROT_WRITE); });
}

/* With the lock held. */
template <class F> void open_if(F f) {
  Guards &g = guards();
  for (size_t i = 0; i < g.all.size();) {
    if (!f(g.all[i])) {
      i++;
      continue;
    }
    open_pages(g.all[i]);
    g.runs -= runs_of(g.all[i].bytes);
    if (i + 1 < g.all.size()) g.all[i] = std::move(g.all.back());
    g.all.pop_back();
    g.changes++;
  }
  g.count = g.all.size();
}

/* The frames outside this library, innermost first, as FILE(+OFFSET): what addr2line takes. */
std::string places(void *const *frames, int depth) {
  Dl_info self = {}, info;
  std::string out;
  int told = 0;
  dladdr(reinterpret_cast<void *>(&guard_protect), &self);
  for (int i = 0; i < depth && told < 4; i++) {
    if (dladdr(frames[i], &info) == 0 || info.dli_fbase == self.dli_fbase || info.dli_fname == nullptr) continue;
    const char *slash = strrchr(info.dli_fname, '/');
    char text[256];
    snprintf(text, sizeof text, "%s%s(%s+%#zx)", told > 0 ? " < " : "", slash != nullptr ? slash + 1 : info.dli_fname,
             info.dli_sname != nullptr ? info.dli_sname : "",
             size_t(frames[i]) - size_t(info.dli_sname != nullptr ? info.dli_saddr : info.dli_fbase));
    out += text;
    told++;
  }
  return out.empty() ? "an unknown place" : out;
}

/* What would have told the host: an event that was recorded behind it, if there is one now. */
std::string remedy(const Guard &g) {
  size_t n = 0;
  const void *one = nullptr;
  for (CUevent e : state().events) {
    const Clock &c = e->ticket.clock;
    if (!e->recorded || c.size() <= size_t(g.ticket.lane->index) || c[size_t(g.ticket.lane->index)] < g.ticket.number) continue;
    one = e;
    n++;
  }
  if (n == 0) return "no event is recorded behind it: wait for its stream";
  char text[128];
  snprintf(text, sizeof text, "wait for its stream, or for event %p%s", one, n > 1 ? " or others recorded behind it" : ", recorded behind it");
  return text;
}

/* Of an access that faulted: which, and where. */
struct Touched {
  const char *verb;
  const void *pc; /* NULL: not known on this architecture */
};

Touched access_of(const void *context) {
#if defined(__x86_64__)
  const auto *registers = static_cast<const ucontext_t *>(context)->uc_mcontext.gregs;
  return {(registers[REG_ERR] & 2) != 0 ? "writes" : "reads", reinterpret_cast<const void *>(registers[REG_RIP])};
#else
  (void)context;
  return {"touches", nullptr};
#endif
}

void report(const Guard &g, uintptr_t at, const void *context) {
  void *frames[frames_kept + 4];
  int depth = backtrace(frames, frames_kept + 4), from = 0;
  Touched access = access_of(context);
  while (from < depth && frames[from] != access.pc) from++; /* the handler's own */
  if (from == depth) from = 0;
  Lock lock(state().mutex);
  const Lane &lane = *g.ticket.lane;
  fail_check("too early: the host's thread %ld %s %#llx, byte %zu of the %s of %s (stream %d of device %d, work %llu), which %s; %s. "
             "By %s. Queued by thread %ld in %s",
             long(syscall(SYS_gettid)), access.verb, (unsigned long long)at, size_t(at - g.bytes.base),
             g.bytes.write ? "target" : "source", g.what, lane.index, lane.device, (unsigned long long)g.ticket.number,
             g.ticket.complete() ? "has run, but nobody has waited for it" : "has not run yet", remedy(g).c_str(),
             places(frames + from, depth - from).c_str(), long(g.thread), places(g.frames, g.depth).c_str());
}

/* True: the access is to be tried again. */
bool handle(uintptr_t at, const void *context) {
  Guard hit;
  bool found = false;
  {
    Hold hold;
    open_if([&](const Guard &g) {
      if (found || !holds(g, at)) return false;
      hit = g;
      return found = true;
    });
    /* Another thread may have opened the page meanwhile: a fault is nobody's if it comes again though nothing has changed. */
    if (!found) {
      Fault &f = last_fault;
      if (f.at == at && (f.changes == guards().changes || f.again >= 100)) return false;
      f.again = f.at == at ? f.again + 1 : 0;
      f.at = at;
      f.changes = guards().changes;
      return true;
    }
  }
  if (inside == 0 || inside_host_function()) report(hit, at, context);
  return true;
}

void on_fault(int sig, siginfo_t *info, void *context) {
  int saved = errno;
  bool again = info->si_code == SEGV_ACCERR && handle(uintptr_t(info->si_addr), context);
  errno = saved;
  if (again) return;
  const struct sigaction &before = guards().before;
  if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) before.sa_sigaction(sig, info, context);
  else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) before.sa_handler(sig);
  else {
    struct sigaction plain = {};
    plain.sa_handler = SIG_DFL;
    sigaction(sig, &plain, nullptr); /* the access is tried again, and ends the process */
  }
}

bool is_ours(const struct sigaction &a) { return (a.sa_flags & SA_SIGINFO) != 0 && a.sa_sigaction == on_fault; }

/* False: somebody has put another handler in its place since, and would take a use too early for a crash. */
bool listening() {
  Guards &g = guards();
  struct sigaction now, mine = {};
  if (sigaction(SIGSEGV, nullptr, &now) != 0) return false;
  if (g.installed) return is_ours(now);
  g.before = now;
  mine.sa_sigaction = on_fault;
  mine.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&mine.sa_mask);
  g.installed = sigaction(SIGSEGV, &mine, nullptr) == 0;
  return g.installed;
}

__attribute__((destructor)) void stop_listening() { /* the library may be closed before the process ends */
  struct sigaction now;
  {
    Hold hold;
    open_if([](const Guard &) { return true; });
  }
  if (guards().installed && sigaction(SIGSEGV, nullptr, &now) == 0 && is_ours(now)) sigaction(SIGSEGV, &guards().before, nullptr);
}

} // namespace

InsideDriver::InsideDriver() { inside++; }
InsideDriver::~InsideDriver() { inside--; }

void guard_protect(const Ticket &t, const Touch &bytes, const char *what) {
  Guards &g = guards();
  size_t runs = runs_of(bytes);
  bool all = true;

  if (runs == 0 || !state().config.guard) return;
  Guard made = {bytes, t, what, pid_t(syscall(SYS_gettid)), {}, 0};
  made.depth = backtrace(made.frames, frames_kept);
  Hold hold;
  /* of copies that have run and nobody has waited for: the newer one's end says theirs, or a race has been reported */
  open_if([&](const Guard &old) { return touch_overlap(old.bytes, bytes); });
  if (g.runs + runs > most_runs || !listening()) return;
  g.changes++;
  each_run(bytes, [&](uintptr_t first, size_t n) {
    all = all && mprotect(reinterpret_cast<void *>(first), n, bytes.write ? PROT_NONE : PROT_READ) == 0;
  });
  if (!all) {
    open_pages(made);
    return;
  }
  g.all.push_back(std::move(made));
  g.runs += runs;
  g.count = g.all.size();
}

void guard_learned(const Clock &host) {
  if (guards().count == 0) return;
  Hold hold;
  open_if([&](const Guard &g) {
    size_t lane = size_t(g.ticket.lane->index);
    return lane < host.size() && host[lane] >= g.ticket.number;
  });
}

void guard_forget(uintptr_t base, size_t bytes) {
  if (guards().count == 0) return;
  Touch gone = {base, bytes, bytes, 1, true, false};
  Hold hold;
  open_if([&](const Guard &g) { return touch_overlap(g.bytes, gone); });
}

/* The kernel writes private memory of this process whatever its protection, as it does for a debugger: opening the pages for the
   time of the copy would let other threads in. Where it does not (shared mappings), the guard goes. */
void guard_write(uintptr_t dst, const void *src, size_t bytes) {
  static const int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  static const pid_t process = getpid(); /* after a fork the file is still the parent's memory */
  const char *from = static_cast<const char *>(src);
  uintptr_t page = page_bytes(), first = std::min((dst + page - 1) / page * page, dst + bytes), end = std::max(first, (dst + bytes) / page * page);

  if (guards().count == 0 || end == first) {
    memmove(reinterpret_cast<void *>(dst), src, bytes);
    return;
  }
  memmove(reinterpret_cast<void *>(dst), from, first - dst);
  memmove(reinterpret_cast<void *>(end), from + (end - dst), dst + bytes - end);
  while (first < end) {
    ssize_t n = memory < 0 || process != getpid() ? -1 : pwrite(memory, from + (first - dst), end - first, off_t(first));
    if (n <= 0) {
      guard_forget(first, end - first);
      memmove(reinterpret_cast<void *>(first), from + (first - dst), end - first);
      break;
    }
    first += uintptr_t(n);
  }
}

} // namespace sg
