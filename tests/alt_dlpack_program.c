/*
 * A user's program that works beside Mars: it has a picture in memory of its own, lets Mars look at it (no copy), runs an
 * expression and a kernel of its own over it, and takes the result as a tensor of DLPack, on the host or on a GPU, that it hands on.
 *
 * usage: alt_dlpack_program [DEVICE]      DEVICE: host (the default) or cuda:0
 */
#include "engine/dlpack.h" /* what <dlpack/dlpack.h> defines */
#include <mars/mars.h>

#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 480, COLS = 640 };

typedef struct picture {
  float *pixels;
  int64_t shape[2];
  int borrowed;
} picture;

static void picture_given_back(struct DLManagedTensor *self) {
  ((picture *)self->context)->borrowed--;
  free(self);
}

static struct DLManagedTensor *picture_lend(picture *p) {
  struct DLManagedTensor *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->tensor = (mx_dl_tensor){.data = p->pixels, .device_type = MX_DL_CPU, .ndim = 2, .code = MX_DL_FLOAT, .bits = 32, .lanes = 1,
                             .shape = p->shape};
  t->context = p;
  t->deleter = picture_given_back;
  p->borrowed++;
  return t;
}

/* Brightness in 8 bits: on a GPU from the text, on the host from the function. */
static const char *const quantise_text =
    "extern \"C\" __global__ void quantise(mars_chunk c, const float *x, unsigned char *y) {\n"
    "  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;\n"
    "  if (i < c.count) y[i] = (unsigned char)(x[i] * 255.0f + 0.5f);\n"
    "}\n";

static void quantise(const mars_chunk *c, const void *const *in, void *const *out, void *user) {
  const float *x = in[0];
  unsigned char *y = out[0];
  (void)user;
  for (int64_t i = 0; i < c->count; i++) y[i] = (unsigned char)(x[i] * 255.0f + 0.5f);
}

static int work(mars_session *s, picture *p, const char *device) {
  static const mars_kernel_operand in[] = {{MARS_F32, MARS_OPERAND_CHUNK}};
  static const mars_dtype out[] = {MARS_U8};
  const mars_kernel kernel = {.name = "quantise", .source = quantise_text, .entry = "quantise", .host = quantise, .n_in = 1, .n_out = 1,
                              .in = in, .out = out};
  mars_error err = {0};
  struct DLManagedTensor *result = NULL;
  double mean = 0;

  mars_tensor *x = mars_from_dlpack(s, picture_lend(p));
  mars_tensor *gamma = mars_elementwise(s, "where(x <= 0.0031308, 12.92*x, 1.055*x**(1/2.4) - 0.055)", (mars_named[]){{"x", x}}, 1);
  mars_tensor *bytes;
  mars_kernel_apply(s, &kernel, &gamma, &bytes);
  if (mars_to_dlpack(bytes, device, &result, &err) != MARS_OK) {
    fprintf(stderr, "%s\n", err.message);
    return 1;
  }
  printf("%lld x %lld bytes on %s, device type %d\n", (long long)result->tensor.shape[0], (long long)result->tensor.shape[1], device,
         result->tensor.device_type);
  if (result->tensor.device_type == MX_DL_CPU) {
    const unsigned char *b = result->tensor.data;
    printf("corners %d %d\n", b[0], b[ROWS * COLS - 1]);
  }
  /* whoever takes it gives it back when it is done: here that is Mars itself */
  mars_tensor *again = mars_from_dlpack(s, result);
  if (mars_fetch(mars_mean(again, MARS_ALL), &mean, sizeof mean, &err) != MARS_OK) {
    fprintf(stderr, "%s\n", err.message);
    return 1;
  }
  printf("mean %.2f\n", mean);
  return 0;
}

int main(int argc, char **argv) {
  const char *device = argc > 1 ? argv[1] : "host";
  picture p = {malloc(sizeof(float) * ROWS * COLS), {ROWS, COLS}, 0};
  mars_session_config config;
  mars_session *s = NULL;
  mars_error err = {0};
  int failed;

  if (!p.pixels) return 1;
  for (int i = 0; i < ROWS * COLS; i++) p.pixels[i] = (float)i / (ROWS * COLS - 1);
  mars_session_config_init(&config);
  config.host_budget_bytes = 32 << 20;
  config.device_budget_bytes = 16 << 20;
  config.devices = device;
  if (mars_session_create(&config, &s, &err) != MARS_OK) {
    fprintf(stderr, "%s\n", err.message);
    free(p.pixels);
    return 1;
  }
  failed = work(s, &p, device);
  mars_session_destroy(s);
  printf("lent %d times too often\n", p.borrowed);
  free(p.pixels);
  return failed || p.borrowed != 0;
}
