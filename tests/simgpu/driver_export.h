/*
 * What the stand-ins of NCCL, cuBLAS, cuSOLVER, cuSPARSE and cuFFT ask of the stand-in driver: stream-ordered work on memory
 * that is checked. Symbols of libcuda.so.1 that no real one has.
 *
 * Layer: tests/simgpu. Threads: any.
 */
#pragma once
#pragma GCC visibility push(default)
#include <cuda.h>
#pragma GCC visibility pop

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace sg {

/*
 * Bytes that a piece of work reads or writes: `rows` runs of `width` bytes, `pitch` apart. `both`: written, and read before.
 * triangle e > 0: run r lacks its first r * e bytes; e < 0: it has the first (r + 1) * -e only. The triangles of column-major
 * matrices, whose runs are columns.
 */
struct Touch {
  uintptr_t base;
  size_t width, pitch, rows;
  bool write;
  bool both;
  long triangle = 0;

  /* Run r. */
  uintptr_t begin(size_t r) const { return base + r * pitch + (triangle > 0 ? less(r * size_t(triangle)) : 0); }
  uintptr_t end(size_t r) const { return base + r * pitch + (triangle < 0 ? less((r + 1) * size_t(-triangle)) : width); }
  bool whole() const { return rows == 1 || (pitch == width && triangle == 0); }

private:
  size_t less(size_t n) const { return n < width ? n : width; }
};
inline Touch reads2(const void *p, size_t width, size_t pitch, size_t rows) { return {uintptr_t(p), width, pitch, rows, false, false}; }
inline Touch writes2(const void *p, size_t width, size_t pitch, size_t rows) { return {uintptr_t(p), width, pitch, rows, true, false}; }
inline Touch updates2(const void *p, size_t width, size_t pitch, size_t rows) { return {uintptr_t(p), width, pitch, rows, true, true}; }
inline Touch reads(const void *p, size_t bytes) { return reads2(p, bytes, bytes, 1); }
inline Touch writes(const void *p, size_t bytes) { return writes2(p, bytes, bytes, 1); }
inline Touch updates(const void *p, size_t bytes) { return updates2(p, bytes, bytes, 1); }

#pragma GCC visibility push(default)
/* Queue work on a stream (NULL: the default stream of the current context). When it runs, its touches are checked first
   (not live, not accessible from the stream's device: the context fails with CUDA_ERROR_ILLEGAL_ADDRESS; never written: a failed check),
   then body is called, and what it writes counts as written. body returns not CUDA_SUCCESS: the context has failed.
   Touches whose contents nobody expects, a library's workspace, are writes. waits: body waits for other streams. */
CUresult export_enqueue(CUstream stream, const char *what, std::vector<Touch> touches, std::function<CUresult()> body,
                        bool waits = false);
/* Device of a stream, -1 if it is not one. */
int export_stream_device(CUstream stream);
/* Device of live device memory, -1. */
int export_pointer_device(const void *p);
int export_current_device(); /* -1: no current context */
CUresult export_context_error();
/* A library handle begins (needs a context, counts as an allocation of the fault plan) and ends. */
CUresult export_create();
void export_destroy();
void export_count_communicators(int by);
/* Whether the fault plan wants this NCCL call to fail. */
bool export_nccl_fault();
void export_fail_check(const char *text);
/* Of the configuration: 0 none, 1 pcie, 2 nvlink; devices; bytes used of one. */
int export_link(int from, int to);
int export_devices();
void export_memory(int device, size_t *used, size_t *total);
void export_uuid(int device, unsigned char uuid[16]);
#pragma GCC visibility pop

} // namespace sg
