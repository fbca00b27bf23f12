// Side by side with other software: tensors in and out by DLPack in host memory.
#include "tests/interop_util.h"

#include <memory>

using namespace interop;

namespace {

// ---- host memory ----

TEST(DLPack, EveryDtypeThereAndBack) {
  Session s(small_config());
  for (const auto &c : kCodes) {
    SCOPED_TRACE(short_name(c.dt));
    Rng rng(1);
    Array a = random_array(c.dt, {6, 5}, rng);
    Producer &p = producer((void *)a.bytes.data(), c.code, c.bits, std::vector<int64_t>{6, 5});
    DLManagedTensorVersioned *out = nullptr;
    {
      Scope scope(s);
      mars_tensor *t = mars_from_dlpack(s, p.give());
      mars_error err = {};
      ASSERT_EQ(mars_check(t, &err), MARS_OK) << err.message;
      EXPECT_EQ(mars_dtype_of(t), c.dt);
      ASSERT_TRUE(ok(mars_to_dlpack_versioned(mars_transpose(t), nullptr, &out, &err), err));
      EXPECT_EQ(p.deleted, 0);
    }
    settle(s);
    EXPECT_EQ(p.deleted, 1);
    const mx_dl_tensor &t = out->tensor;
    EXPECT_EQ(t.code, c.code);
    EXPECT_EQ(t.bits, c.bits);
    EXPECT_EQ(t.lanes, 1);
    EXPECT_EQ(t.device_type, MX_DL_CPU);
    ASSERT_EQ(t.ndim, 2);
    EXPECT_EQ(std::vector<int64_t>(t.shape, t.shape + 2), (std::vector<int64_t>{5, 6}));
    EXPECT_EQ(std::vector<int64_t>(t.strides, t.strides + 2), (std::vector<int64_t>{6, 1}));
    EXPECT_EQ((uintptr_t)t.data % 256, 0u);
    EXPECT_EQ(out->major, 1u);
    EXPECT_EQ(out->flags, (uint64_t)MX_DL_IS_COPIED);
    for (int64_t i = 0; i < 30; i++)
      ASSERT_EQ(memcmp((char *)t.data + i * (int64_t)a.item(), a.at(i % 6 * 5 + i / 6), a.item()), 0) << i;
    out->deleter(out);
  }
}

TEST(DLPack, StridesOffsetsAndReadOnlyMemory) {
  Session s(small_config());
  Scope scope(s);
  std::vector<int32_t> v(100);
  for (int i = 0; i < 100; i++) v[(size_t)i] = i;
  Producer &backwards = producer((void *)v.data(), 0, 32, std::vector<int64_t>{4, 3}); // rows from below, every second column, from element 91 on
  backwards.strides = {-10, 2}, backwards.t.byte_offset = 91 * 4;
  Array a = fetched(mars_from_dlpack_versioned(s, backwards.give_versioned(1, MX_DL_READ_ONLY)));
  for (int64_t i = 0; i < 12; i++) EXPECT_EQ((int)a.get(i).i, 91 - 10 * (i / 3) + 2 * (i % 3));
  Producer &broadcast = producer((void *)(v.data() + 7), 0, 32, std::vector<int64_t>{5, 2});
  broadcast.strides = {0, 1};
  a = fetched(mars_from_dlpack(s, broadcast.give()));
  for (int64_t i = 0; i < 10; i++) EXPECT_EQ((int)a.get(i).i, 7 + i % 2);
  Producer &scalar = producer((void *)(v.data() + 9), 0, 32, std::vector<int64_t>{});
  Producer &empty = producer((void *)nullptr, 0, 32, std::vector<int64_t>{3, 0});
  Producer &pinned = producer((void *)v.data(), 0, 32, std::vector<int64_t>{2});
  pinned.t.device_type = MX_DL_CUDA_HOST, pinned.t.device_id = 5;
  EXPECT_EQ((int)fetched(mars_from_dlpack(s, scalar.give())).get(0).i, 9);
  EXPECT_EQ(fetched(mars_from_dlpack(s, empty.give())).size(), 0);
  EXPECT_EQ(empty.deleted, 1); // nothing will ever read it
  EXPECT_EQ((int)fetched(mars_from_dlpack(s, pinned.give())).get(1).i, 1);
  Producer &plain = producer((void *)v.data(), 0, 32, std::vector<int64_t>{2});
  DLManagedTensor *undeletable = plain.give();
  undeletable->deleter = nullptr;
  EXPECT_EQ(fetched(mars_from_dlpack(s, undeletable)).size(), 2);
}

TEST(DLPack, WhatIsWrongIsNamedAndDeletedOnce) {
  Session s(small_config());
  Scope scope(s);
  std::vector<double> v(64);
  const struct {
    std::function<void(Producer &)> spoil;
    mars_status st;
    std::initializer_list<const char *> words;
  } cases[] = {
      {[](Producer &p) { p.t.device_type = 10, p.t.device_id = 3; }, MARS_E_ARG, {"device type 10", "device 3"}},
      {[](Producer &p) { p.t.device_type = MX_DL_CUDA, p.t.device_id = 6; }, MARS_E_ARG, {"cuda:6", "it has: host"}},
      {[](Producer &p) { p.t.code = 9; }, MARS_E_DTYPE, {"code 9", "64 bits", "1 lanes"}},
      {[](Producer &p) { p.t.lanes = 4; }, MARS_E_DTYPE, {"code 2", "64 bits", "4 lanes"}},
      {[](Producer &p) { p.t.bits = 24; }, MARS_E_DTYPE, {"24 bits"}},
      {[](Producer &p) { p.t.code = 3; }, MARS_E_DTYPE, {"code 3"}},
      {[](Producer &p) { p.t.byte_offset = 3; }, MARS_E_ARG, {"not aligned to 8"}},
      {[](Producer &p) { p.t.data = nullptr, p.t.byte_offset = 16; }, MARS_E_ARG, {"NULL", "byte offset of 16"}},
      {[](Producer &p) { p.t.data = nullptr; }, MARS_E_ARG, {"NULL", "8 elements"}},
      {[](Producer &p) { p.shape[0] = -2; }, MARS_E_SHAPE, {"-2", "axis 0"}},
      {[](Producer &p) { p.t.ndim = 17; }, MARS_E_SHAPE, {"17 dimensions"}},
      {[](Producer &p) { p.strides = {INT64_MAX / 2, 1}; }, MARS_E_OVERFLOW, {"axis 0", "4611686018427387903"}},
      {[](Producer &p) { p.shape = {INT64_MAX / 4, 4}; }, MARS_E_OVERFLOW, {}},
  };
  for (const auto &c : cases) {
    Producer &p = producer((void *)v.data(), 2, 64, std::vector<int64_t>{2, 4});
    c.spoil(p);
    EXPECT_TRUE(is_error(mars_from_dlpack(s, p.give()), c.st, c.words));
    EXPECT_EQ(p.deleted, 1);
  }
  Producer &future = producer((void *)v.data(), 2, 64, std::vector<int64_t>{2, 4});
  EXPECT_TRUE(is_error(mars_from_dlpack_versioned(s, future.give_versioned(2)), MARS_E_UNSUPPORTED, {"version 2.7", "version 1"}));
  EXPECT_EQ(future.deleted, 1);
  Producer &nowhere = producer((void *)v.data(), 2, 64, std::vector<int64_t>{2, 4});
  EXPECT_EQ(mars_from_dlpack(nullptr, nowhere.give()), nullptr);
  EXPECT_EQ(nowhere.deleted, 1);
  EXPECT_TRUE(is_error(mars_from_dlpack(s, nullptr), MARS_E_ARG, {"NULL"}));
  DLManagedTensor *out = nullptr;
  mars_error err = {};
  mars_tensor *t = mars_arange(s, MARS_F64, 0, 4, 1);
  EXPECT_TRUE(says(mars_to_dlpack(t, "cuda:4", &out, &err), err, MARS_E_ARG, {"mars_to_dlpack", "cuda:4", "host"}));
  EXPECT_TRUE(says(mars_to_dlpack(t, nullptr, nullptr, &err), err, MARS_E_ARG, {"out is NULL"}));
  EXPECT_TRUE(says(mars_to_dlpack(nullptr, nullptr, &out, &err), err, MARS_E_MEMORY, {"NULL"}));
  EXPECT_TRUE(says(mars_to_dlpack(mars_add(t, mars_arange(s, MARS_F64, 0, 3, 1)), nullptr, &out, &err), err, MARS_E_SHAPE, {"mars_add"}));
  EXPECT_EQ(out, nullptr);
  EXPECT_TRUE(says(mars_set_stream(s, "host", nullptr, &err), err, MARS_E_ARG, {"host", "no streams"}));
  EXPECT_TRUE(says(mars_set_stream(s, "cuda:3", nullptr, &err), err, MARS_E_ARG, {"cuda:3"}));
}

// What is given away is taken from the budget, what the session keeps makes way for it, and jobs go round it.
TEST(DLPack, ExportsAreInTheBudget) {
  Config config = small_config(2 * MiB);
  config.spill = false;
  config.chunk = 16384;
  Session s(config);
  Scope scope(s);
  const int64_t n = 32768; // 256 KiB
  std::vector<mars_tensor *> kept;
  mars_error err = {};
  for (int i = 0; i < 5; i++) {
    kept.push_back(mars_add(mars_arange(s, MARS_F64, 0, (double)n, 1), mars_float(s, i)));
    ASSERT_TRUE(ok(mars_run(s, &kept.back(), 1, &err), err));
    if (i % 2 == 0) mars_retain(kept.back());
  }
  settle(s);
  const size_t before = used(s);
  DLManagedTensor *big = nullptr, *more = nullptr;
  // 512 KiB in one piece
  ASSERT_TRUE(ok(mars_to_dlpack(mars_arange(s, MARS_F64, 0, 65536, 1), "host", &big, &err), err));
  EXPECT_EQ(used(s), before + 65536 * 8);
  for (int i = 0; i < 65536; i += 13) ASSERT_EQ(((double *)big->tensor.data)[i], i);
  EXPECT_TRUE(says(mars_to_dlpack(mars_arange(s, MARS_F64, 0, 65536, 1), "host", &more, &err), err, MARS_E_BUDGET,
                   {"mars_to_dlpack", "524288 bytes in one piece", "2097152", "host"}));
  EXPECT_EQ(more, nullptr);
  memset(big->tensor.data, 0x5a, 65536 * 8); // the taker's own
  for (int i = 0; i < 5; i++) { // jobs that need most of what is left, and what was kept is as it was
    Array a = fetched(mars_add(mars_flip(kept[(size_t)i], MARS_ALL), mars_float(s, 0.5)));
    for (int64_t k = 0; k < n; k += 37) ASSERT_EQ(a.get(k).re, (double)(n - 1 - k + i) + 0.5);
  }
  for (int64_t i = 0; i < 65536 * 8; i++) ASSERT_EQ(((unsigned char *)big->tensor.data)[i], 0x5a);
  big->deleter(big);
  ASSERT_TRUE(ok(mars_to_dlpack(mars_arange(s, MARS_F64, 0, 65536, 1), "host", &more, &err), err));
  more->deleter(more);
  settle(s);
  EXPECT_EQ(used(s), before);
}

// Holes between results that are kept are pushed together, or their owners leave for the spill store.
TEST(DLPack, ResultsThatAreKeptMakeWay) {
  for (bool spill : {false, true}) {
    Config config = small_config(2 * MiB);
    config.spill = spill;
    config.chunk = 8192;
    Session s(config);
    mars_scope_open(s);
    mars_error err = {};
    std::vector<mars_tensor *> kept;
    for (int i = 0; i < 20; i++) { // 64 KiB each; every second one goes again
      mars_scope_open(s);
      mars_tensor *t = mars_add(mars_arange(s, MARS_F64, 0, 8192, 1), mars_float(s, i));
      ASSERT_TRUE(ok(mars_run(s, &t, 1, &err), err));
      if (i % 2 == 0) kept.push_back(mars_retain(t));
      mars_scope_close(s);
    }
    settle(s);
    DLManagedTensor *out = nullptr;
    ASSERT_TRUE(ok(mars_to_dlpack(mars_full(s, MARS_F64, MARS_SHAPE(150000), mars_float(s, 2)), nullptr, &out, &err), err)); // 1.2 MB of 2
    for (size_t i = 0; i < kept.size(); i++) {
      Scope scope(s);
      Array a = fetched(kept[i]);
      for (int64_t k = 0; k < 8192; k += 11) ASSERT_EQ(a.get(k).re, (double)k + 2.0 * (double)i);
    }
    for (int i = 0; i < 150000; i += 7) ASSERT_EQ(((double *)out->tensor.data)[i], 2);
    out->deleter(out);
    for (mars_tensor *t : kept) mars_release(t);
    mars_scope_close(s);
  }
}

TEST(DLPack, MemoryStaysWhenTheSessionEnds) {
  auto s = std::make_unique<Session>(small_config());
  DLManagedTensor *a = nullptr, *b = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_to_dlpack(mars_arange(*s, MARS_I64, 0, 1000, 1), nullptr, &a, &err), err));
  ASSERT_TRUE(ok(mars_to_dlpack(mars_arange(*s, MARS_I64, 5, 9, 1), nullptr, &b, &err), err));
  s.reset();
  for (int i = 0; i < 1000; i++) ASSERT_EQ(((int64_t *)a->tensor.data)[i], i);
  a->deleter(a);
  EXPECT_EQ(((int64_t *)b->tensor.data)[3], 8);
  b->deleter(b); // the last one: what the session had goes now (the leak checkers watch)
}

TEST(DLPack, ExportedTensorsCanBeImportedElsewhere) {
  Session first(small_config()), second(small_config());
  DLManagedTensor *out = nullptr;
  mars_error err = {};
  ASSERT_TRUE(ok(mars_to_dlpack(mars_arange(first, MARS_F32, 0, 5000, 1), nullptr, &out, &err), err));
  const size_t with = used(first);
  {
    Scope scope(second);
    double sum = 0;
    mars_tensor *t = mars_astype(mars_from_dlpack(second, out), MARS_F64);
    ASSERT_TRUE(ok(mars_fetch(mars_sum(t, MARS_ALL), &sum, sizeof sum, &err), err));
    EXPECT_EQ(sum, 4999 * 5000 / 2);
  }
  settle(second);
  settle(first);
  EXPECT_LT(used(first), with); // the deleter was called
}

TEST(DLPack, MemoryThatRunsOutIsAnErrorAndNothingLeaks) {
  Session s(small_config());
  std::vector<float> v(300, 1.5f);
  int given = 0, deleted = 0;
  auto job = [&](int64_t fault, bool *met, mars_error *err) {
    Producer &p = producer((void *)v.data(), 2, 32, std::vector<int64_t>{300});
    mars_scope_open(s);
    shim_fail_allocation(s, fault);
    DLManagedTensor *out = nullptr;
    mars_tensor *t = mars_from_dlpack(s, p.give());
    mars_status st = mars_to_dlpack(mars_mul(t, t), nullptr, &out, err);
    EXPECT_EQ(out == nullptr, st != MARS_OK);
    if (out != nullptr) {
      EXPECT_EQ(((float *)out->tensor.data)[299], 2.25f);
      out->deleter(out);
    }
    *met = shim_allocation_failed(s);
    shim_fail_allocation(s, -1);
    mars_scope_close(s);
    settle(s);
    given++;
    deleted += p.deleted;
    return st;
  };
  mars_error err = {};
  bool met;
  ASSERT_EQ(job(-1, &met, &err), MARS_OK) << err.message;
  const int64_t live = shim_live_allocations(s);
  int failed = 0;
  for (int64_t n = 1;; n++) {
    err = {};
    mars_status st = job(n, &met, &err);
    EXPECT_TRUE(no_leak(s, live)) << n;
    EXPECT_EQ(deleted, given) << n;
    if (st == MARS_OK && !met) break;
    failed += st != MARS_OK;
    if (st != MARS_OK) {
      EXPECT_EQ(st, MARS_E_MEMORY) << err.message;
    }
  }
  EXPECT_GT(failed, 10);
}

} // namespace
