/* The C API: load, look up, launch. */
#include <algorithm>
#include <cstdio>
#include <set>

#include "ptx_decode.h"
#include "ptx_lexer.h"

namespace sg {
namespace {

const size_t kMaxShared = 227 * 1024, kRecursionBytes = 16384;

void say(char *error, size_t size, const std::string &text) {
  if (error && size > 0)
    snprintf(error, size, "%s", text.c_str());
}

/* ---- variables
 * --------------------------------------------------------------------------------------------------- */

/* .global and .const variables: one block of memory, an allocation each, 16 bytes of nothing between them. */
void lay_out_variables(LoadedModule *m) {
  size_t at = 0;

  auto is_placed = [](const Variable &v) { return v.space == Space::GLOBAL || v.space == Space::CONST; };
  for (Variable &v : m->ast.variables) {
    if (!is_placed(v))
      continue;
    if (v.is_unsized || v.is_extern)
      throw ParseError(v.line, "variable " + v.name + " is declared only");
    at = (at + 16 + v.align - 1) / v.align * v.align;
    v.addr = at;
    at += v.bytes;
    if (v.space == Space::CONST)
      m->const_bytes += v.bytes;
  }
  m->data.resize((at + 64) / 64 + 1);
  uint64_t base = reinterpret_cast<uint64_t>(m->data.data());
  for (Variable &v : m->ast.variables)
    if (is_placed(v))
      v.addr += base;
}

void fill_in(LoadedModule *m, const Variable &v) {
  uint8_t *p = reinterpret_cast<uint8_t *>(v.addr);

  if (!v.init.empty())
    memcpy(p, v.init.data(), std::min(v.init.size(), v.bytes));
  for (const Fixup &f : v.fixups) {
    auto it = m->ast.variable_names.find(f.symbol);
    auto function = m->ast.function_names.find(f.symbol);
    uint64_t value = 0;
    if (it != m->ast.variable_names.end()) {
      value = it->second->addr + static_cast<uint64_t>(f.addend);
    } else if (function != m->ast.function_names.end()) {
      uint64_t index = 0;
      while (&m->ast.functions[index] != function->second)
        index++;
      value = kCodeWindow | index << 4;
    } else {
      throw ParseError(f.line, "unknown name " + f.symbol);
    }
    value >>= f.shift;
    memcpy(p + f.offset, &value, std::min<size_t>(f.bytes, 8));
  }
}

void register_variables(LoadedModule *m) {
  for (Variable &v : m->ast.variables) {
    if (v.space != Space::GLOBAL && v.space != Space::CONST)
      continue;
    if (v.bytes == 0)
      continue;
    fill_in(m, v);
    const void *p = reinterpret_cast<const void *>(v.addr);
    if (sg_memory_add(m->mem, p, v.bytes, m->device,
                      v.space == Space::CONST ? SG_MEMORY_CONST : SG_MEMORY_DEVICE) != 0)
      throw std::bad_alloc();
    m->registered.push_back(p);
    sg_memory_mark_written(m->mem, v.addr, v.bytes);
  }
}

/* ---- functions
 * --------------------------------------------------------------------------------------------------- */

/* All that a function may call: directly, or any function through a register. */
void closure(LoadedModule *m, const Code *code, std::set<const Code *> *out) {
  if (!out->insert(code).second)
    return;
  for (const Call &c : code->calls)
    if (c.callee)
      closure(m, c.callee, out);
  if (code->has_indirect_call)
    for (const Code &c : m->codes)
      if (!c.fn->is_entry)
        closure(m, &c, out);
}

/* Local memory down the deepest chain of calls; recursion and calls through registers get a fixed amount. */
size_t deepest(LoadedModule *m, const Code *code, std::set<const Code *> *path) {
  size_t below = code->has_indirect_call ? kRecursionBytes : 0;

  if (!path->insert(code).second)
    return kRecursionBytes;
  for (const Call &c : code->calls)
    if (c.callee)
      below = std::max(below, deepest(m, c.callee, path));
  path->erase(code);
  return code->local_bytes + below;
}

/*
 * Every shared variable gets the least offset that fits all kernels that use it, so that a device function
 * may be decoded once. Dynamic shared memory lies behind all of it.
 */
void lay_out_shared(LoadedModule *m) {
  // which functions use what is known from their text before they are decoded: by the names of the operands
  std::unordered_map<const Function *, std::set<const Variable *>> uses;
  std::unordered_map<const Function *, std::set<const Function *>> calls;
  for (const Function &f : m->ast.functions) {
    bool has_indirect = false;
    for (const Instr &in : f.code) {
      for (const Operand &o : in.operands) {
        if (o.var && o.var->space == Space::SHARED)
          uses[&f].insert(o.var);
        if (o.kind == Operand::FUNCTION)
          calls[&f].insert(m->ast.function_names[o.name]);
      }
      has_indirect = has_indirect || (in.op == "call" && in.operands[0].kind == Operand::REG);
    }
    if (has_indirect)
      for (const Function &g : m->ast.functions)
        if (!g.is_entry)
          calls[&f].insert(&g);
  }
  std::unordered_map<const Function *, std::set<const Variable *>> all; // of kernels
  std::unordered_map<const Function *, uint64_t> top;
  for (const Function &k : m->ast.functions) {
    if (!k.is_entry)
      continue;
    std::set<const Function *> seen;
    std::vector<const Function *> left = {&k};
    while (!left.empty()) {
      const Function *f = left.back();
      left.pop_back();
      if (!seen.insert(f).second)
        continue;
      all[&k].insert(uses[f].begin(), uses[f].end());
      left.insert(left.end(), calls[f].begin(), calls[f].end());
    }
    top[&k] = 0;
  }
  for (Variable &v : m->ast.variables) {
    if (v.space != Space::SHARED || v.is_unsized)
      continue;
    for (auto &t : top)
      if (all[t.first].count(&v))
        v.addr = std::max(v.addr, t.second);
    v.addr = (v.addr + v.align - 1) / v.align * v.align;
    for (auto &t : top)
      if (all[t.first].count(&v))
        t.second = v.addr + v.bytes;
    m->dynamic_base = std::max(m->dynamic_base, v.addr + v.bytes);
  }
  m->dynamic_base = (m->dynamic_base + 127) / 128 * 128;
}

void decode_functions(LoadedModule *m) {
  for (Function &f : m->ast.functions) {
    if (!f.is_defined)
      continue;
    m->codes.emplace_back();
    m->code_of[&f] = &m->codes.back();
  }
  for (Function &f : m->ast.functions) {
    if (!f.is_defined)
      continue;
    Code *code = m->code_of[&f];
    Decoder(m, code, &f).run();
    if (code->constants.empty())
      code->constants.resize(1);
  }
}

std::unique_ptr<sg_ptx_kernel> make_kernel(LoadedModule *m, const Code *code) {
  auto k = std::make_unique<sg_ptx_kernel>();
  std::set<const Code *> all, path;
  const Function &f = *code->fn;

  k->module = m;
  k->code = code;
  k->info = {};
  for (const Variable &p : f.params)
    k->params.push_back(sg_ptx_param{p.addr, p.bytes, p.align});
  closure(m, code, &all);
  size_t registers = 0;
  for (const Code *c : all) {
    if (k->unknown.empty())
      k->unknown = c->unknown;
    for (const Variable *v : c->shared)
      if (!v->is_unsized)
        k->info.static_shared_bytes = std::max<size_t>(k->info.static_shared_bytes, v->addr + v->bytes);
    registers = std::max(registers, c->fn->regs.size() / 4);
  }
  k->deepest_local_bytes = deepest(m, code, &path);
  k->info.name = f.name.c_str();
  k->info.param_count = k->params.size();
  k->info.params = k->params.data();
  k->info.param_bytes = k->params.empty() ? 0 : k->params.back().offset + k->params.back().bytes;
  k->info.local_bytes = code->visible_local_bytes;
  k->info.const_bytes = m->const_bytes;
  k->info.max_threads = f.max_threads ? static_cast<unsigned>(f.max_threads) : 1024;
  std::copy(f.required_block, f.required_block + 3, k->info.required_block);
  k->info.registers = static_cast<unsigned>(std::min<size_t>(255, registers + 16));
  k->info.unknown = k->unknown.empty() ? nullptr : k->unknown.c_str();
  return k;
}

/* ---- launch
 * ------------------------------------------------------------------------------------------------------ */

std::string check_grid(const sg_ptx_kernel *k, const sg_ptx_grid *g, size_t shared_bytes) {
  uint64_t threads = 1;

  for (int i = 0; i < 3; i++) {
    const uint64_t most_blocks[] = {0x7fffffff, 65535, 65535}, most_threads[] = {1024, 1024, 64};
    if (g->grid[i] == 0 || g->grid[i] > most_blocks[i])
      return "grid dimension " + std::to_string(i) + " is " + std::to_string(g->grid[i]);
    if (g->block[i] == 0 || g->block[i] > most_threads[i])
      return "block dimension " + std::to_string(i) + " is " + std::to_string(g->block[i]);
    if (k->info.required_block[i] && k->info.required_block[i] != g->block[i])
      return "the kernel requires another block size";
    threads *= g->block[i];
  }
  if (threads > k->info.max_threads)
    return std::to_string(threads) + " threads; the kernel allows " + std::to_string(k->info.max_threads);
  if (shared_bytes > kMaxShared)
    return std::to_string(shared_bytes) + " bytes of shared memory";
  return "";
}

void gather_params(const sg_ptx_kernel *k, void *const *params, const void *block,
                   std::vector<uint8_t> *out) {
  out->resize(std::max<size_t>(1, k->info.param_bytes));
  if (params) {
    for (size_t i = 0; i < k->params.size(); i++)
      memcpy(out->data() + k->params[i].offset, params[i], k->params[i].bytes);
  } else if (block) {
    memcpy(out->data(), block, k->info.param_bytes);
  }
}

constexpr size_t kMostRuns = 1024;

void hand_out(Launch &launch, sg_ptx_grid *grid) {
  for (const Met &met : launch.met)
    for (int written = 0; written < 2 && grid->touched != nullptr; written++)
      (written ? met.written_ranges : met.read_ranges).each(kMostRuns, [&](size_t at, size_t bytes) {
        grid->touched(grid->touched_user, met.allocation->info.base + at, bytes, written);
      });
  grid->traffic_count = launch.met.size();
  for (size_t i = 0; i < launch.met.size() && i < grid->max_traffic; i++) {
    const Met &met = launch.met[i];
    size_t bytes = met.allocation->info.bytes;
    grid->traffic[i] = {met.allocation->info, met.read_bytes, met.written_bytes,
                        met.read_map ? met.read_map->count(bytes) : 0,
                        met.written_map ? met.written_map->count(bytes) : 0};
  }
}

sg_ptx_status launch_kernel(const sg_ptx_kernel *k, sg_ptx_grid *grid, void *const *params, const void *block,
                            sg_memory *mem, int device, sg_ptx_counts *counts, std::string *error) {
  Launch launch;

  launch.static_shared = k->info.static_shared_bytes;
  launch.dynamic_base = k->module->dynamic_base;
  launch.shared_bytes =
      grid->dynamic_shared_bytes ? launch.dynamic_base + grid->dynamic_shared_bytes : launch.static_shared;
  *error = check_grid(k, grid, launch.static_shared + grid->dynamic_shared_bytes);
  if (error->empty() && !params && !block && k->info.param_bytes > 0)
    *error = "no parameters";
  if (!error->empty()) {
    *error = "kernel " + std::string(k->info.name) + ": " + *error;
    return SG_PTX_E_ARGUMENT;
  }
  if (!k->unknown.empty()) {
    *error = "kernel " + std::string(k->info.name) + ", PTX " + k->unknown;
    return SG_PTX_E_UNKNOWN;
  }
  launch.module = k->module;
  launch.code = k->code;
  launch.info = &k->info;
  launch.grid = grid;
  launch.mem = mem;
  launch.device = device;
  launch.flags = grid->flags;
  launch.local_stride = (k->deepest_local_bytes + 15) / 16 * 16;
  launch.limit = grid->instruction_limit ? grid->instruction_limit : 1ull << 31;
  gather_params(k, params, block, &launch.params);
  run_launch(&launch);
  hand_out(launch, grid);
  if (counts)
    *counts = launch.counts;
  *error = launch.error;
  return launch.status;
}

} // namespace
} // namespace sg

/* ---- C
 * -----------------------------------------------------------------------------------------------------------
 */

extern "C" {

sg_ptx_module *sg_ptx_load(const char *ptx, sg_memory *mem, int device, char *error, size_t error_size) {
  auto m = std::unique_ptr<sg_ptx_module, void (*)(sg_ptx_module *)>(new (std::nothrow) sg_ptx_module,
                                                                     sg_ptx_unload);
  if (!m)
    return nullptr;
  m->mem = mem;
  m->device = device;
  try {
    sg::parse(ptx, &m->ast);
    sg::lay_out_variables(m.get());
    sg::lay_out_shared(m.get());
    sg::register_variables(m.get());
    sg::decode_functions(m.get());
    for (const sg::Code &code : m->codes)
      if (code.fn->is_entry)
        m->kernels.push_back(sg::make_kernel(m.get(), &code));
    return m.release();
  } catch (const sg::ParseError &e) {
    sg::say(error, error_size, e.what());
  } catch (const std::bad_alloc &) {
    sg::say(error, error_size, "out of memory");
  }
  return nullptr;
}

void sg_ptx_unload(sg_ptx_module *module) {
  if (!module)
    return;
  for (const void *p : module->registered)
    sg_memory_remove(module->mem, p);
  delete module;
}

void sg_ptx_version(const sg_ptx_module *module, int *target, int *version) {
  *target = module->ast.target;
  *version = module->ast.version;
}

size_t sg_ptx_kernel_count(const sg_ptx_module *module) {
  return module->kernels.size();
}

const sg_ptx_kernel *sg_ptx_kernel_at(const sg_ptx_module *module, size_t index) {
  return index < module->kernels.size() ? module->kernels[index].get() : nullptr;
}

const sg_ptx_kernel *sg_ptx_find_kernel(const sg_ptx_module *module, const char *name) {
  for (const auto &k : module->kernels)
    if (strcmp(k->info.name, name) == 0)
      return k.get();
  return nullptr;
}

const sg_ptx_kernel_info *sg_ptx_kernel_describe(const sg_ptx_kernel *kernel) {
  return &kernel->info;
}

int sg_ptx_find_global(const sg_ptx_module *module, const char *name, uint64_t *addr, size_t *bytes) {
  auto it = module->ast.variable_names.find(name);
  if (it == module->ast.variable_names.end() || it->second->space == sg::Space::SHARED)
    return 0;
  *addr = it->second->addr;
  *bytes = it->second->bytes;
  return 1;
}

sg_ptx_status sg_ptx_launch(const sg_ptx_kernel *kernel, sg_ptx_grid *grid, void *const *params,
                            const void *block, sg_memory *mem, int device, sg_ptx_counts *counts, char *error,
                            size_t error_size) {
  std::string text;
  sg_ptx_status status;

  grid->traffic_count = 0;
  if (counts)
    *counts = {};
  try {
    status = sg::launch_kernel(kernel, grid, params, block, mem, device, counts, &text);
  } catch (const std::bad_alloc &) {
    status = SG_PTX_E_MEMORY;
    text = "out of memory";
  }
  sg::say(error, error_size, text);
  return status;
}

const char *sg_ptx_status_name(sg_ptx_status status) {
  static const char *const names[] = {"ok",
                                      "bad argument",
                                      "out of memory",
                                      "illegal address",
                                      "misaligned",
                                      "read of unwritten bytes",
                                      "race",
                                      "divergent barrier",
                                      "unknown instruction",
                                      "trap",
                                      "timeout"};
  return status < sizeof names / sizeof *names ? names[status] : "?";
}

} // extern "C"
