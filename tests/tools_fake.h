/* A stand-in for libmars, under the evaluator's tests (tools_fake.c). */
#ifndef TOOLS_FAKE_H
#define TOOLS_FAKE_H

#include <mars/mars.h>

/* Frees every tensor. */
void tools_fake_reset(void);
/* Tensors made since. */
int tools_fake_calls(void);
/* The calls that made it, "multiply(add(x, 1), 2)". */
const char *tools_fake_text(const mars_tensor *t);
/* A tensor that is just a name. */
mars_tensor *tools_fake_tensor(const char *name, mars_dtype dt, mars_shape shape);

#endif
