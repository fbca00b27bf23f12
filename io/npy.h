/*
 * The .npy header, as pure functions on bytes: parse, format, and make values native.
 *
 * Layer: io. Threads: any; no state. Versions 1.0, 2.0 and 3.0 are read, 1.0 is written.
 */
#ifndef MX_IO_NPY_H
#define MX_IO_NPY_H

#include "engine/store.h"

#define MX_NPY_DATA_OFFSET 4096     /* of the files that we write: data begins on a block of its own */
#define MX_NPY_PREFIX_BYTES 12      /* magic, version, header length (version 1 has two bytes less) */
#define MX_NPY_HEADER_MAX (1 << 20) /* longest header that is read */

/* From the file's first bytes (at least 10, MX_NPY_PREFIX_BYTES if there are so many): where the dict begins
   and how long it is. name: file name for messages. */
mars_status mx_npy_prefix(const char *fn, const char *name, const unsigned char *head, size_t head_bytes,
                          int64_t *dict_offset, int64_t *dict_bytes, mars_error *err);
/* The dict literal (not NUL-terminated). info->data_offset is left alone. */
mars_status mx_npy_parse(const char *fn, const char *name, const char *dict, size_t dict_bytes,
                         mx_source_info *info, mars_error *err);
/* Exactly MX_NPY_DATA_OFFSET bytes. dtype must not be bfloat16. */
void mx_npy_format(mars_dtype dtype, const mars_shape *shape, char out[MX_NPY_DATA_OFFSET]);
/* Reverse the bytes of every scalar (of both halves of a complex). bytes: a multiple of the dtype's. */
void mx_npy_swap(void *data, size_t bytes, mars_dtype dtype);
/* Make every byte 0 or 1, as NumPy's truth of it. */
void mx_npy_normalise_bool(void *data, size_t bytes);

#endif
