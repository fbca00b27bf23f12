/*
 * Side by side with other software of the process: tensors in and out by DLPack, the caller's CUDA stream. Included by
 * <mars/mars.h>. No call of Mars changes which CUDA context is current on the caller's thread.
 */
#ifndef MARS_INTEROP_H
#define MARS_INTEROP_H

#include <mars/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mars_session mars_session;
typedef struct mars_tensor mars_tensor;
struct DLManagedTensor;          /**< DLPack's: include its header, or whoever's made the tensor, beside this one */
struct DLManagedTensorVersioned;

/**
 * \brief A tensor of other software, which it gave as a DLManagedTensor: nothing is copied, it is read where it lies when a job needs
 * it, chunk by chunk.
 *
 * It must stay unchanged until its deleter is called. Device memory is read by the device that has it, once what was in the
 * stream of mars_set_stream before has ended; without a stream it must be complete before a job is started. It must be memory of
 * the device's primary context (which CUDA's runtime, and so nearly every library, uses).
 *
 * \param managed  taken over, also if the call fails: its deleter is called once, when no tensor needs it any more
 * \return         its shape and dtype
 *
 * Types      bool, integers and unsigned integers of 8 to 64 bits, float16, float32, float64, bfloat16, complex64, complex128; 1 lane.
 * Memory     none on the host; on a device chunks of it, as they are read.
 * Errors     MARS_E_ARG (device types but CPU, CUDA and pinned host memory; a device that the session does not have; data that is NULL or
 *            not aligned to its elements), MARS_E_DTYPE (code, bits, lanes), MARS_E_SHAPE at the call, with the values;
 *            MARS_E_DEVICE when it is run and the device that has it was lost.
 */
MARS_API mars_tensor *mars_from_dlpack(mars_session *s, struct DLManagedTensor *managed);
/** \brief The same for DLPack's versioned struct, of version 1 (MARS_E_UNSUPPORTED: another). Read-only tensors are fine: nothing writes
    to any. */
MARS_API mars_tensor *mars_from_dlpack_versioned(mars_session *s, struct DLManagedTensorVersioned *managed);

/**
 * \brief Compute a tensor into memory that other software can use, and give it as a DLManagedTensor.
 *
 * The memory is a part of the session's budget on that device, taken until the deleter is called, from any thread and at any time: also
 * after mars_session_destroy, which then leaves the memory of the session's devices until the last deleter. It belongs to the taker
 * alone, who may write to it. The job writes it in C order, aligned to 256 bytes; it is complete when the call returns. A
 * session without elements in it gives data NULL.
 *
 * With mars_set_stream, who deletes it while work on it is in that stream need not wait for it: jobs that begin after that do,
 * those that were submitted before, too.
 *
 * \param device  of the session, "host" or "cuda:0"; NULL: "host"
 * \param out     to be given back by its deleter; NULL after a failure
 *
 * Memory     the tensor's bytes at one piece, and what computing it needs, in the budget of the device. Results that the session
 *            keeps make way: they are moved together, or leave where the host or the spill store has them as well.
 * Errors     MARS_E_ARG (device), MARS_E_BUDGET (with the bytes that are needed and those that are there), what the tensor carries
 *            and what running it may give.
 */
MARS_API MARS_NODISCARD mars_status mars_to_dlpack(mars_tensor *t, const char *device, struct DLManagedTensor **out, mars_error *err);
/** \brief The same as DLPack's versioned struct, version 1, flagged as a copy. */
MARS_API MARS_NODISCARD mars_status mars_to_dlpack_versioned(mars_tensor *t, const char *device, struct DLManagedTensorVersioned **out,
                                                             mars_error *err);

/** No stream: jobs wait for nothing. How a session begins. */
#define MARS_NO_STREAM ((void *)(intptr_t)-1)
/**
 * \brief Run behind the caller's CUDA stream: jobs that are submitted from now on begin on this device when all that is in the stream
 * at that moment has ended.
 *
 * The calls that run or wait (mars_run, mars_fetch, mars_wait, mars_to_dlpack) return when their results are there, so what
 * the caller puts into a stream after them comes after them.
 *
 * \param device  of the session, "cuda:0"
 * \param stream  a CUstream or cudaStream_t of the device's primary context (NULL: the legacy default stream), which lives as long as
 *                it is set; MARS_NO_STREAM
 *
 * Errors     MARS_E_ARG: the session has no such device, or it has no streams. A stream that is of no use fails what is submitted,
 *            with the driver's error.
 */
MARS_API MARS_NODISCARD mars_status mars_set_stream(mars_session *s, const char *device, void *stream, mars_error *err);

#ifdef __cplusplus
}
#endif
#endif
