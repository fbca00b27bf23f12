/*
 * Printing tensors: which elements are fetched, and how the value of a program is written.
 *
 * Layer: tools. Threads: one.
 */
#ifndef MT_SHOW_H
#define MT_SHOW_H

#include "eval.h"
#include "fmt.h"

/* A tensor of the result that will be printed: its elements, or of a large one the first and last of every axis. */
typedef struct mt_shown {
  mars_tensor *tensor; /* what is fetched */
  mt_array array;
  void *data;
  size_t bytes;
} mt_shown;

/* The tensors of a value in order of appearance; *n of them. False: an error is in diag. Data is allocated in the arena
   and not yet filled. */
bool mt_show_prepare(mt_eval *ev, const mt_value *v, mt_shown **out, size_t *n);
/* The value as text, after the shown tensors have their data. Ends with a line break unless it is None. */
void mt_show_value(const mt_value *v, const mt_shown *shown, mt_str *out);
/* "float64 (1000, 3)" for every tensor, the value for the rest. */
void mt_show_shape(const mt_value *v, mt_str *out);

#endif
