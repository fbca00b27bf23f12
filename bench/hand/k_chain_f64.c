/* The chains in double. */
#define REAL double
#define V(name) vecd##name
#define LANES VECD
#define FILL HAND(hand_fill_chain_f64)
#define CHAIN_SLOT chain_f64
#define TOUCH_SLOT touch_f64
#include "bench/hand/k_chain.h"
