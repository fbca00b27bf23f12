/*
 * Printing tensors: which elements are fetched, and how the value of a program is written.
 *
 * Layer: tools. Threads: one.
 */
#ifndef MT_SHOW_H
#define MT_SHOW_H

#include "eval.h"
#include "fmt.h"

/* A part of a tensor that is fetched: all of it, or one corner. */
typedef struct mt_block {
  mars_tensor *tensor;
  void *data;
  size_t bytes;
  unsigned last; /* bit d: of axis d the last elements, else the first */
} mt_block;

/* A tensor of the result that will be printed: its elements, or of a large one the corners. Corners are outputs of their
   own, not joined by the library, so that each is computed by itself and the rest of a generator or file never. */
typedef struct mt_shown {
  mt_array array;
  void *data;
  mt_block *block;
  size_t n_blocks;
} mt_shown;

/* The tensors of a value in order of appearance; *n of them. False: an error is in diag. The blocks' data is
   allocated in the arena and not yet filled. */
bool mt_show_prepare(mt_eval *ev, const mt_value *v, mt_shown **out, size_t *n);
/* Put fetched blocks in place. */
void mt_show_assemble(mt_shown *shown);
/* The value as text, after the shown tensors have their data. Ends with a line break unless it is None. */
void mt_show_value(const mt_value *v, const mt_shown *shown, mt_str *out);
/* "float64 (1000, 3)" for every tensor, the value for the rest. */
void mt_show_shape(const mt_value *v, mt_str *out);

#endif
