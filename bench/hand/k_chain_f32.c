/* The chains in float. */
#define REAL float
#define V(name) vecf##name
#define LANES VECF
#define FILL HAND(hand_fill_chain_f32)
#define CHAIN_SLOT chain_f32
#define TOUCH_SLOT touch_f32
#include "bench/hand/k_chain.h"
