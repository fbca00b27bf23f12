/*
 * DLPack's structs, as its ABI fixes them: what frameworks hand tensors to one another in. Version 1; the unversioned struct, too.
 *
 * Definitions of our own, so that nobody needs DLPack's header to build this, and those who have it need not meet ours: the public
 * header declares the two structs only, under the names that DLPack's header defines.
 */
#ifndef MX_DLPACK_H
#define MX_DLPACK_H

#include <stdint.h>

enum { MX_DL_CPU = 1, MX_DL_CUDA = 2, MX_DL_CUDA_HOST = 3 };
enum { MX_DL_INT = 0, MX_DL_UINT = 1, MX_DL_FLOAT = 2, MX_DL_BFLOAT = 4, MX_DL_COMPLEX = 5, MX_DL_BOOL = 6 };
enum { MX_DL_READ_ONLY = 1, MX_DL_IS_COPIED = 2 };
enum { MX_DL_MAJOR = 1, MX_DL_MINOR = 0 };

typedef struct mx_dl_tensor {
  void *data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t code, bits; /* of one lane */
  uint16_t lanes;
  int64_t *shape;
  int64_t *strides;   /* in elements; NULL: C order */
  uint64_t byte_offset;
} mx_dl_tensor;

struct DLManagedTensor {
  mx_dl_tensor tensor;
  void *context;
  void (*deleter)(struct DLManagedTensor *self); /* NULL is fine */
};

/* The fields up to flags are the same in every version, so that each can be deleted. */
struct DLManagedTensorVersioned {
  uint32_t major, minor;
  void *context;
  void (*deleter)(struct DLManagedTensorVersioned *self);
  uint64_t flags;
  mx_dl_tensor tensor;
};

#endif
