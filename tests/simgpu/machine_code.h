/*
 * Machine code and its PTX: the simulated driver cannot run the former, so the NVRTC of nvrtc.cc leaves the PTX of the same program beside
 * it, in a file named by the machine code's bytes.
 *
 * Layer: tests/simgpu. Threads: any.
 */
#pragma once
#include <elf.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace sg {

/* Bytes of an ELF image, from its tables: a driver is not told how many there are. 0: it is none of 64 bits. */
inline size_t elf_bytes(const void *image) {
  const unsigned char *p = static_cast<const unsigned char *>(image);
  Elf64_Ehdr h;
  if (memcmp(p, ELFMAG, SELFMAG) != 0 || p[EI_CLASS] != ELFCLASS64) return 0;
  memcpy(&h, p, sizeof h);
  uint64_t end = h.e_shoff + uint64_t(h.e_shnum) * h.e_shentsize, programs = h.e_phoff + uint64_t(h.e_phnum) * h.e_phentsize;
  if (h.e_shentsize != sizeof(Elf64_Shdr)) return 0;
  if (end < programs) end = programs;
  for (unsigned i = 0; i < h.e_shnum; i++) {
    Elf64_Shdr s;
    memcpy(&s, p + h.e_shoff + i * sizeof s, sizeof s);
    if (s.sh_type != SHT_NOBITS && end < s.sh_offset + s.sh_size) end = s.sh_offset + s.sh_size;
  }
  return size_t(end);
}

/* FOLDER/HASH.ptx; "" where the image is no machine code. */
inline std::string ptx_of_machine_code(const std::string &folder, const void *image) {
  uint64_t hash = 14695981039346656037u; /* FNV-1a */
  const size_t n = elf_bytes(image);
  char name[40];
  if (n == 0 || folder.empty()) return "";
  for (size_t i = 0; i < n; i++) hash = (hash ^ static_cast<const unsigned char *>(image)[i]) * 1099511628211u;
  snprintf(name, sizeof name, "/%016llx.ptx", static_cast<unsigned long long>(hash));
  return folder + name;
}

} // namespace sg
