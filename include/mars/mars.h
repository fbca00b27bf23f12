/*
 * Mars: NumPy-style tensor programs on data larger than memory.
 *
 * Graph-building calls (they take and return mars_tensor *) never fail half-way: an invalid call returns
 * an error tensor that carries the first error to whoever runs or inspects it. NULL is returned, and may be
 * passed on, only when memory for the handle itself could not be had.
 * Everything else returns mars_status and fills an optional mars_error.
 *
 * Threads: a session may be used from any number of threads. Handles belong to the scope in which they were
 * made and are freed with it, unless retained.
 */
#ifndef MARS_H
#define MARS_H

#include <mars/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mars_session mars_session; /**< devices, budgets, stores, graph */
typedef struct mars_tensor mars_tensor;   /**< handle to a lazy tensor */
typedef struct mars_job mars_job;         /**< a submitted run */

/* ---- session ------------------------------------------------------------------------------------ */

typedef enum mars_log_level { MARS_LOG_DEBUG, MARS_LOG_INFO, MARS_LOG_WARNING, MARS_LOG_ERROR } mars_log_level;

/** Progress of a job, also given to the progress callback about ten times a second. */
typedef struct mars_progress {
  int64_t tasks_done, tasks_total;
  double seconds;     /**< since the job began to run */
  double eta_seconds; /**< estimate of what is left; negative: unknown */
} mars_progress;

/** Called from the session's own thread, or, while a small job runs, from within the call that waits for it: no call back into the session but mars_cancel. */
typedef void mars_log_fn(void *user, mars_log_level level, const char *text);
typedef void mars_progress_fn(void *user, mars_job *job, const mars_progress *progress);

/** Memory for the engine's own records (not for tensor data). alloc returns NULL on failure. */
typedef struct mars_allocator {
  void *(*alloc)(void *user, size_t bytes);
  void (*free)(void *user, void *ptr);
  void *user;
} mars_allocator;

/** How to open a session; fill with mars_session_config_init, then change what you need. */
typedef struct mars_session_config {
  size_t struct_bytes;         /**< set by init; lets the struct grow */
  size_t host_budget_bytes;    /**< bytes of host memory for tensor data; 0: half of what the process may use
                                    (memory cgroup and physical memory). Peak RSS stays below it + 64 MiB. */
  int threads;                 /**< compute threads; 0: one per core the process may use */
  bool bind_threads;           /**< bind them to cores with hwloc; default true */
  bool eager;                  /**< run every op as it is built; default false */
  bool no_fusion;              /**< every op a kernel of its own (for tests and measurements) */
  int64_t chunk_elements;      /**< elements of a chunk; 0: chosen from budget and sizes */
  const char *const *spill_dirs; /**< directories for spilled chunks, striped; NULL: $MARS_SPILL_DIR, else $TMPDIR, else /tmp */
  int n_spill_dirs;            /**< 0 with spill_dirs NULL: the default; MARS_SPILL_OFF: never spill */
  size_t spill_budget_bytes;   /**< bytes on disk over all directories; 0: no limit but the disk */
  const char *devices;         /**< devices that share the work, "cuda:0,cuda:1,host"; NULL: $MARS_DEVICES, else all GPUs that
                                    are there, else the host. The host also runs what none of them can. */
  size_t device_budget_bytes;  /**< memory of each GPU for tensor data; 0: what is free there, less a reserve */
  const char *isa;             /**< "baseline", "avx2", "avx512"; NULL: best of this CPU ($MARS_ISA overrides) */
  const char *io_backend;      /**< "uring", "threads"; NULL: io_uring where it can be had ($MARS_IO overrides) */
  bool no_direct_io;           /**< no O_DIRECT */
  mars_allocator allocator;    /**< alloc NULL: malloc */
  mars_log_fn *log;            /**< NULL: silent */
  mars_progress_fn *progress;  /**< NULL: none */
  void *user;                  /**< given to both callbacks */
} mars_session_config;
#define MARS_SPILL_OFF (-1)

MARS_API void mars_session_config_init(mars_session_config *config);
/** \brief Open a session. config NULL: the defaults. On failure *out is NULL. */
MARS_API MARS_NODISCARD mars_status mars_session_create(const mars_session_config *config, mars_session **out,
                                                        mars_error *err);
/** \brief Cancel what runs, wait for it, free everything incl. all handles. NULL is fine. */
MARS_API void mars_session_destroy(mars_session *s);

/** A device of the session. */
typedef struct mars_device_info {
  const char *name;     /**< "host", "cuda:0" */
  const char *model;
  size_t memory_bytes;  /**< all of it */
  size_t budget_bytes;  /**< for tensor data */
  bool shares_work;     /**< false: a host that only runs what the other devices cannot */
  bool lost;            /**< it failed and is not used any more */
} mars_device_info;

/** What the session found and uses. Strings live as long as the session. */
typedef struct mars_session_info {
  const char *version;
  const char *cpu;         /**< model name */
  const char *isa;         /**< kernels in use */
  int cores, threads, numa_nodes;
  size_t memory_bytes;     /**< physical */
  size_t host_budget_bytes, arena_bytes;
  size_t arena_used_bytes; /**< by results that the session keeps and by what mars_to_dlpack gave away */
  bool huge_pages;         /**< arena is backed by huge pages where the kernel has them */
  const char *io_backend;  /**< "io_uring", "threads" */
  bool io_fixed_buffers, io_direct;
  int n_spill_dirs;
  const char *const *spill_dirs;
  int64_t live_allocations; /**< engine records not yet freed (for tests) */
  int n_devices;           /**< the first is the host */
  const mars_device_info *devices;
  const char *blas;        /**< the BLAS and LAPACK that linear algebra uses and its kernels, or why there is none */
} mars_session_info;
MARS_API void mars_session_get_info(mars_session *s, mars_session_info *out);

/** A library of CUDA: none of them is needed, and what is missing switches off only what needs it. */
typedef struct mars_library {
  const char *name;    /**< "libnvrtc" */
  const char *path;    /**< the file that was opened; NULL: there is none */
  const char *version; /**< "13.0"; empty if it does not say */
  const char *missing; /**< why there is none; NULL if there is */
} mars_library;
/** \brief The index-th of them, looked for at the first call ($MARS_CUDA_LIBRARY_PATH, folders separated by
    ':', where "!" at the end means nowhere else; $CUDA_HOME, $CUDA_PATH, /usr/local/cuda, the
    system); false if index is past the last. Strings stay. */
MARS_API bool mars_library_get(size_t index, mars_library *out);

/* ---- scopes and handles --------------------------------------------------------------------------- */

/** \brief Open a scope: handles made by this thread from now on are freed by the matching mars_scope_close. */
MARS_API void mars_scope_open(mars_session *s);
MARS_API void mars_scope_close(mars_session *s);
/** \brief Keep a handle beyond its scope; give it back with mars_release. Both accept NULL. */
MARS_API mars_tensor *mars_retain(mars_tensor *t);
MARS_API void mars_release(mars_tensor *t);

MARS_API mars_session *mars_session_of(const mars_tensor *t);
MARS_API mars_dtype mars_dtype_of(const mars_tensor *t);
/** \brief Shape; ndim -1 for an error tensor. */
MARS_API mars_shape mars_shape_of(const mars_tensor *t);
MARS_API int64_t mars_size_of(const mars_tensor *t);   /**< elements */
/** \brief Status that the tensor carries (MARS_OK: a valid tensor; NULL: MARS_E_MEMORY); fills err. */
MARS_API mars_status mars_check(const mars_tensor *t, mars_error *err);
/** \brief Whether its values are computed and held by the session. */
MARS_API bool mars_is_ready(const mars_tensor *t);

/* ---- running -------------------------------------------------------------------------------------- */

typedef enum mars_sink {
  MARS_SINK_KEEP = 0,   /**< held by the session (memory or spill); later graphs start from it */
  MARS_SINK_MEMORY = 1, /**< written to `data` in C order */
  MARS_SINK_NPY = 2     /**< written to the file `path` (temporary name, fsync, rename) */
} mars_sink;

/** One result of a run. */
typedef struct mars_output {
  mars_tensor *tensor;
  mars_sink sink;
  void *data;       /**< MARS_SINK_MEMORY: caller's memory, untouched unless the job writes it */
  size_t bytes;     /**< its size; must be the tensor's bytes exactly */
  const char *path; /**< MARS_SINK_NPY */
} mars_output;

/** What a job did. */
typedef struct mars_stats {
  int64_t tasks, kernels, steps;
  double plan_seconds, run_seconds;
  size_t peak_arena_bytes;
  size_t spill_written_bytes, spill_read_bytes;   /**< to and from the spill store */
  size_t source_read_bytes, sink_written_bytes;   /**< input and output files */
  int64_t recomputed_tasks;
  size_t copied_bytes;                            /**< between devices */
  char methods[160];  /**< of routines that have several, what was taken in the end: "svd by Cholesky QR; qr by column panels"; cut short
                           where there are more */
} mars_stats;

/** \brief Start a run in the background; all outputs in one pass. *out must be released. */
MARS_API MARS_NODISCARD mars_status mars_submit(mars_session *s, const mars_output *outputs, size_t n,
                                                mars_job **out, mars_error *err);
/** \brief Wait until it ended; returns its status. May be called again. */
MARS_API mars_status mars_wait(mars_job *job, mars_error *err);
/** \brief Ask it to stop; mars_wait then gives MARS_E_CANCELLED, unless it had ended. */
MARS_API void mars_cancel(mars_job *job);
MARS_API bool mars_job_done(mars_job *job);
MARS_API void mars_job_get_progress(mars_job *job, mars_progress *out);
/** \brief Stats of an ended job (zeros before). */
MARS_API void mars_job_get_stats(mars_job *job, mars_stats *out);
/** \brief Wait for it and free the handle; NULL is fine. */
MARS_API void mars_job_release(mars_job *job);

/** \brief Compute and keep the tensors. */
MARS_API MARS_NODISCARD mars_status mars_run(mars_session *s, mars_tensor *const *tensors, size_t n, mars_error *err);
/** \brief Compute if needed and copy out, C order; bytes must match exactly. dst is written by the job itself. */
MARS_API MARS_NODISCARD mars_status mars_fetch(mars_tensor *t, void *dst, size_t bytes, mars_error *err);
/** \brief Compute and write an npy file (version 1.0, C order). Not for bf16, which npy does not have. */
MARS_API MARS_NODISCARD mars_status mars_save_npy(mars_tensor *t, const char *path, mars_error *err);

typedef enum mars_explain_format { MARS_EXPLAIN_TEXT, MARS_EXPLAIN_DOT } mars_explain_format;
/** \brief Plan without running; *text (free with mars_text_free) tells chunk graph, kernels, schedule, peaks. */
MARS_API MARS_NODISCARD mars_status mars_explain(mars_session *s, const mars_output *outputs, size_t n,
                                                 mars_explain_format format, char **text, mars_error *err);
MARS_API void mars_text_free(mars_session *s, char *text);

/* ---- creation ------------------------------------------------------------------------------------- */

/** \brief Scalars of Python's kind: they take the other operand's dtype where NumPy 2's weak scalars do. */
MARS_API mars_tensor *mars_bool(mars_session *s, bool value);
MARS_API mars_tensor *mars_int(mars_session *s, int64_t value);
MARS_API mars_tensor *mars_float(mars_session *s, double value);
MARS_API mars_tensor *mars_complex(mars_session *s, double re, double im);

/** \brief A value for a typed element: which member counts is said by the dtype's kind (b and i: i, u: u, f: f, c: c). */
typedef struct mars_value {
  int64_t i;
  uint64_t u;
  double f;
  double c[2];
} mars_value;

MARS_API mars_tensor *mars_empty(mars_session *s, mars_dtype dt, mars_shape shape); /**< zeros: never garbage */
MARS_API mars_tensor *mars_zeros(mars_session *s, mars_dtype dt, mars_shape shape);
MARS_API mars_tensor *mars_ones(mars_session *s, mars_dtype dt, mars_shape shape);
/** \brief All elements = fill, a 0-d tensor, cast to dt (MARS_DTYPE_AUTO: fill's dtype). */
MARS_API mars_tensor *mars_full(mars_session *s, mars_dtype dt, mars_shape shape, mars_tensor *fill);
MARS_API mars_tensor *mars_empty_like(mars_tensor *a);
MARS_API mars_tensor *mars_zeros_like(mars_tensor *a);
MARS_API mars_tensor *mars_ones_like(mars_tensor *a);
MARS_API mars_tensor *mars_full_like(mars_tensor *a, mars_tensor *fill);
/** \brief start, start + step, ... below stop. Integer dtypes count in integers, others are start + i*step in f64, cast.
    MARS_DTYPE_AUTO: i64 if all three are whole numbers, else f64. */
MARS_API mars_tensor *mars_arange(mars_session *s, mars_dtype dt, double start, double stop, double step);
/** \brief num values from start to stop; with endpoint the last one is stop exactly. Integer dtypes: rounded down. */
MARS_API mars_tensor *mars_linspace(mars_session *s, mars_dtype dt, double start, double stop, int64_t num,
                                    bool endpoint);
MARS_API mars_tensor *mars_eye(mars_session *s, mars_dtype dt, int64_t n, int64_t m, int64_t k);
/** \brief Each element is its own index along `axis`. */
MARS_API mars_tensor *mars_iota(mars_session *s, mars_dtype dt, mars_shape shape, int axis);

/**
 * \brief Borrow caller memory, no copy. It must stay unchanged until release(user) is called (NULL: until the
 * session ends), which happens once, when no tensor needs it any more; at once if this call fails.
 * \param byte_strides  per axis, any sign, NULL: C order; data points to element [0, 0, ...].
 */
MARS_API mars_tensor *mars_from_memory(mars_session *s, mars_dtype dt, mars_shape shape,
                                       const int64_t *byte_strides, const void *data,
                                       void (*release)(void *user), void *user);
/** \brief Copy caller memory (C order) at once. */
MARS_API mars_tensor *mars_from_copy(mars_session *s, mars_dtype dt, mars_shape shape, const void *data);
/** \brief An npy file, read chunk by chunk when it is needed. Header checked now. C or Fortran order, any endian. */
MARS_API mars_tensor *mars_from_npy(mars_session *s, const char *path);

/* ---- views (no data moves) ------------------------------------------------------------------------ */

MARS_API mars_tensor *mars_index(mars_tensor *a, const mars_slice *items, size_t n);
MARS_API mars_tensor *mars_reshape(mars_tensor *a, mars_shape shape); /**< one extent may be -1 */
MARS_API mars_tensor *mars_ravel(mars_tensor *a);
MARS_API mars_tensor *mars_transpose(mars_tensor *a);                 /**< axes reversed */
MARS_API mars_tensor *mars_permute_dims(mars_tensor *a, mars_axes perm);
MARS_API mars_tensor *mars_swapaxes(mars_tensor *a, int axis1, int axis2);
MARS_API mars_tensor *mars_moveaxis(mars_tensor *a, int source, int destination);
MARS_API mars_tensor *mars_expand_dims(mars_tensor *a, int axis);
MARS_API mars_tensor *mars_squeeze(mars_tensor *a, mars_axes axes);   /**< MARS_ALL: all of extent 1 */
MARS_API mars_tensor *mars_flip(mars_tensor *a, mars_axes axes);
MARS_API mars_tensor *mars_broadcast_to(mars_tensor *a, mars_shape shape);
/** \brief The same values, computed on this device of the session ("cuda:0", "host"): what makes them is placed there, unless the
    device cannot run it. MARS_E_ARG: the session has no such device. */
MARS_API mars_tensor *mars_to_device(mars_tensor *a, const char *device);

/* ---- joining, casting, other composed ops --------------------------------------------------------- */

MARS_API mars_tensor *mars_concatenate(mars_tensor *const *tensors, size_t n, int axis);
MARS_API mars_tensor *mars_stack(mars_tensor *const *tensors, size_t n, int axis);
MARS_API mars_tensor *mars_astype(mars_tensor *a, mars_dtype dt);
MARS_API mars_tensor *mars_round(mars_tensor *a, int decimals);
MARS_API mars_tensor *mars_nan_to_num(mars_tensor *a);
MARS_API mars_tensor *mars_float_power(mars_tensor *a, mars_tensor *b);
MARS_API mars_tensor *mars_isposinf(mars_tensor *a);
MARS_API mars_tensor *mars_isneginf(mars_tensor *a);
MARS_API void mars_divmod(mars_tensor *a, mars_tensor *b, mars_tensor **quotient, mars_tensor **remainder);
MARS_API void mars_modf(mars_tensor *a, mars_tensor **fraction, mars_tensor **integral);
MARS_API void mars_frexp(mars_tensor *a, mars_tensor **mantissa, mars_tensor **exponent);

/* ---- reductions: prototypes of every REDUCE row stand in ops.h, this one for all of them ---------- */

/** Options of a reduction. {0} and axes = MARS_ALL is NumPy's default. */
typedef struct mars_reduce_options {
  mars_axes axes;
  bool keepdims;
  double ddof;      /**< var, std and their nan- variants */
  bool has_dtype;   /**< sum, prod: accumulate and return in dtype */
  mars_dtype dtype;
} mars_reduce_options;

/* ---- random: the same values for any chunking, thread count, device or budget ---------------------- */

/** \brief Seed of the streams that follow (default 0), which are counted from 0 again; each mars_random_* call takes the
    next stream. MARS_DTYPE_AUTO is f64 (integers: i64). f16 and bf16 are f32 values, rounded. */
MARS_API void mars_random_seed(mars_session *s, uint64_t seed);
/** \brief In [low, high); halves may round up to high. */
MARS_API mars_tensor *mars_random_uniform(mars_session *s, mars_dtype dt, mars_shape shape, double low, double high);
MARS_API mars_tensor *mars_random_standard_normal(mars_session *s, mars_dtype dt, mars_shape shape);
/** \brief loc + scale * a standard normal, rounded after each of the two. */
MARS_API mars_tensor *mars_random_normal(mars_session *s, mars_dtype dt, mars_shape shape, double loc, double scale);
MARS_API mars_tensor *mars_random_exponential(mars_session *s, mars_dtype dt, mars_shape shape, double scale);
/** \brief Integers in [low, high), any integer dtype. */
MARS_API mars_tensor *mars_random_integers(mars_session *s, mars_dtype dt, mars_shape shape, int64_t low, int64_t high);
/** \brief bool, true with probability p. */
MARS_API mars_tensor *mars_random_bernoulli(mars_session *s, mars_shape shape, double p);

/* ---- library -------------------------------------------------------------------------------------- */

MARS_API const char *mars_version(void);

/** The op table, for language bindings and tools. */
typedef struct mars_op_info {
  const char *name;    /**< NumPy's */
  const char *doc;
  const char *kind;    /**< "unary", "binary", "ternary", "reduce", "scan", "random", ... */
  int arity;
  double ulp;          /**< error bound, 0: exactly rounded */
} mars_op_info;
/** \brief Row `index` of the table, NULL behind the last. */
MARS_API const mars_op_info *mars_op_table(size_t index);
/** \brief Apply an elementwise row by its name: an error tensor if there is none or the arity is wrong. */
MARS_API mars_tensor *mars_apply(mars_session *s, const char *name, mars_tensor *const *operands, size_t n);
/** \brief Apply a reduction row (or cumsum, cumprod with one axis) by its name. */
MARS_API mars_tensor *mars_apply_reduce(const char *name, mars_tensor *a, const mars_reduce_options *options);

#ifdef __cplusplus
}
#endif

#include <mars/interop.h>
#include <mars/kernel.h>
#include <mars/linalg.h>
#include <mars/ops.h> /* generated from engine/ops.def */

#endif
