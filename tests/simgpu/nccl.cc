/* The stand-in of NCCL: its functions. Contract: nccl_core.h. */
#include "nccl_core.h"

#include <atomic>
#include <cstring>
#include <random>
#include <set>

using namespace sg;

namespace sg {
namespace {

std::mutex mutex; /* of what follows */
std::set<ncclComm_t> &comms() {
  static auto *set = new std::set<ncclComm_t>;
  return *set;
}
std::map<std::string, std::shared_ptr<Clique>> &gathering() {
  static auto *map = new std::map<std::string, std::shared_ptr<Clique>>;
  return *map;
}

struct Transfer {
  bool send;
  int peer;
  std::shared_ptr<Post> post;
};

/* What a thread has collected since ncclGroupStart. */
struct Group {
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  std::vector<std::function<ncclResult_t()>> calls; /* collectives */
  std::vector<std::pair<ncclComm_t, CUstream>> order;
  std::map<std::pair<ncclComm_t, CUstream>, std::vector<Transfer>> transfers;
  std::vector<std::shared_ptr<Clique>> joining;
};
thread_local Group group;
thread_local std::string last_error;

ncclResult_t error(ncclResult_t r, const char *text) {
  last_error = text;
  if (group.depth > 0 && group.error == ncclSuccess) group.error = r;
  return r;
}

#define FAULT                                                                                                                     \
  if (export_nccl_fault()) return error(ncclInternalError, "a fault of the plan")

ncclResult_t usable(ncclComm_t comm) {
  std::lock_guard<std::mutex> guard(mutex);
  if (comm == nullptr || comms().count(comm) == 0) return error(ncclInvalidArgument, "not a communicator");
  std::lock_guard<std::mutex> clique_guard(comm->clique->mutex);
  if (comm->finalized) return error(ncclInvalidUsage, "the communicator has been finalized");
  if (comm->clique->aborted) return error(comm->clique->error != ncclSuccess ? comm->clique->error : ncclRemoteError, "aborted");
  return ncclSuccess;
}

ncclResult_t of(CUresult r) { return r == CUDA_SUCCESS ? ncclSuccess : error(ncclUnhandledCudaError, "the stream refused the work"); }

ncclResult_t buffer(const void *p, size_t bytes, ncclComm_t comm) {
  if (bytes == 0) return ncclSuccess;
  if (p == nullptr) return error(ncclInvalidArgument, "a buffer is NULL");
  int device = export_pointer_device(p);
  if (device >= 0 && device != comm->device) {
    export_fail_check("nccl: a buffer is memory of another device than the communicator's");
    return error(ncclInvalidArgument, "a buffer of another device");
  }
  return ncclSuccess;
}

/* A single thread that does not group its ranks' calls waits on a real device for what it has not started. */
void warn_alone(ncclComm_t comm) {
  std::lock_guard<std::mutex> guard(comm->clique->mutex);
  auto &alone = comm->clique->alone;
  auto it = alone.find(comm->collectives);
  if (it == alone.end()) alone[comm->collectives] = std::this_thread::get_id();
  else if (it->second == std::this_thread::get_id())
    export_fail_check("nccl: one thread calls a collective for several ranks outside of a group");
}

ncclResult_t start(ncclComm_t comm, CUstream stream, const char *name, const Collective &what, const Part &part,
                   std::vector<Touch> touches) {
  auto clique = comm->clique;
  int rank = comm->rank;
  uint64_t number = comm->collectives++;
  return of(export_enqueue(stream, name, std::move(touches),
                           [=] {
                             clique->meet(number, rank, what, part);
                             return CUDA_SUCCESS;
                           },
                           true));
}

ncclResult_t collective(const char *name, ncclComm_t comm, cudaStream_t stream, const Collective &what, const void *send, size_t send_count,
                        void *recv, size_t recv_count) {
  FAULT;
  ncclResult_t r = usable(comm);
  size_t size = type_bytes(what.type);
  if (r != ncclSuccess) return r;
  if (size == 0) return error(ncclInvalidArgument, "a data type that is not simulated");
  if (what.root < 0 || what.root >= comm->clique->ranks) return error(ncclInvalidArgument, "no such root");
  if (int(what.op) < 0 || what.op > ncclAvg) return error(ncclInvalidArgument, "no such operation");
  if ((r = buffer(send, send_count * size, comm)) != ncclSuccess || (r = buffer(recv, recv_count * size, comm)) != ncclSuccess) return r;
  Part part = {static_cast<const char *>(send), static_cast<char *>(recv)};
  std::vector<Touch> touches;
  if (send_count > 0) touches.push_back(reads(send, send_count * size));
  if (recv_count > 0) touches.push_back(writes(recv, recv_count * size));
  CUstream s = reinterpret_cast<CUstream>(stream);
  if (group.depth == 0) {
    if (comm->clique->ranks > 1) warn_alone(comm);
    return start(comm, s, name, what, part, std::move(touches));
  }
  group.calls.push_back([=] { return start(comm, s, name, what, part, touches); });
  return ncclSuccess;
}

/* All transfers of one communicator and stream in a group are one piece of work. */
ncclResult_t start_transfers(ncclComm_t comm, CUstream stream, const std::vector<Transfer> &all) {
  auto clique = comm->clique;
  int rank = comm->rank;
  std::vector<Touch> touches;
  std::vector<std::pair<int, std::shared_ptr<Post>>> to, from;
  for (const Transfer &t : all) {
    (t.send ? to : from).push_back({t.peer, t.post});
    if (t.post->bytes != 0) touches.push_back(t.send ? reads(t.post->p, t.post->bytes) : writes(t.post->p, t.post->bytes));
  }
  return of(export_enqueue(stream, "ncclSend/ncclRecv", std::move(touches),
                           [=] {
                             clique->post(to, from, rank);
                             return CUDA_SUCCESS;
                           },
                           true));
}

ncclResult_t transfer(bool send, void *p, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  FAULT;
  ncclResult_t r = usable(comm);
  size_t bytes = count * type_bytes(type);
  if (r != ncclSuccess) return r;
  if (type_bytes(type) == 0) return error(ncclInvalidArgument, "a data type that is not simulated");
  if (peer < 0 || peer >= comm->clique->ranks) return error(ncclInvalidArgument, "no such peer");
  if ((r = buffer(p, bytes, comm)) != ncclSuccess) return r;
  auto post = std::make_shared<Post>();
  post->p = static_cast<char *>(p);
  post->bytes = bytes;
  CUstream s = reinterpret_cast<CUstream>(stream);
  if (group.depth == 0) return start_transfers(comm, s, {{send, peer, post}});
  auto &list = group.transfers[{comm, s}];
  if (list.empty()) group.order.push_back({comm, s});
  list.push_back({send, peer, post});
  return ncclSuccess;
}

ncclResult_t wait_joined(const std::shared_ptr<Clique> &clique) {
  std::unique_lock<std::mutex> lock(clique->mutex);
  bool all = clique->changed.wait_for(lock, std::chrono::seconds(30), [&] { return clique->joined == clique->ranks || clique->aborted; });
  if (!all || clique->aborted) return error(ncclSystemError, "the other ranks do not come");
  return ncclSuccess;
}

void add(ncclComm_t *out, const std::shared_ptr<Clique> &clique, int rank, int device) {
  auto *comm = new ncclComm;
  comm->clique = clique;
  comm->rank = rank;
  comm->device = device;
  std::lock_guard<std::mutex> guard(mutex);
  comms().insert(comm);
  *out = comm;
  export_count_communicators(1);
}

void remove(ncclComm_t comm) {
  std::lock_guard<std::mutex> guard(mutex);
  comms().erase(comm);
  delete comm;
  export_count_communicators(-1);
}

} // namespace
} // namespace sg

ncclResult_t ncclGetVersion(int *version) {
  if (version == nullptr) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t r) {
  switch (r) {
  case ncclSuccess: return "no error";
  case ncclUnhandledCudaError: return "unhandled cuda error";
  case ncclSystemError: return "unhandled system error";
  case ncclInternalError: return "internal error";
  case ncclInvalidArgument: return "invalid argument";
  case ncclInvalidUsage: return "invalid usage";
  case ncclRemoteError: return "remote process exited or there was a network error";
  case ncclInProgress: return "NCCL operation in progress";
  default: return "unknown result code";
  }
}

const char *ncclGetLastError(ncclComm_t) { return last_error.c_str(); }

ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
  static std::atomic<uint64_t> counter{1};
  FAULT;
  if (id == nullptr) return error(ncclInvalidArgument, "NULL");
  memset(id, 0, sizeof *id);
  snprintf(id->internal, sizeof id->internal, "simulated-%llx-%llu", (unsigned long long)std::random_device()(),
           (unsigned long long)counter++);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank, ncclConfig_t *) {
  FAULT;
  if (out == nullptr || ranks < 1 || rank < 0 || rank >= ranks) return error(ncclInvalidArgument, "rank or number of ranks");
  *out = nullptr;
  int device = export_current_device();
  if (device < 0) return error(ncclUnhandledCudaError, "no current context");
  std::string key(id.internal, sizeof id.internal);
  std::shared_ptr<Clique> clique;
  {
    std::lock_guard<std::mutex> guard(mutex);
    auto &slot = gathering()[key];
    if (!slot) {
      slot = std::make_shared<Clique>();
      slot->ranks = ranks;
      slot->device.assign(size_t(ranks), -1);
    }
    clique = slot;
    std::lock_guard<std::mutex> clique_guard(clique->mutex);
    if (clique->ranks != ranks || clique->device[size_t(rank)] >= 0) return error(ncclInvalidUsage, "the rank is there already");
    for (int d : clique->device)
      if (d == device) return error(ncclInvalidUsage, "two ranks on one device");
    clique->device[size_t(rank)] = device;
    if (++clique->joined == ranks) gathering().erase(key);
    clique->changed.notify_all();
  }
  if (group.depth > 0) group.joining.push_back(clique);
  else {
    ncclResult_t r = wait_joined(clique);
    if (r != ncclSuccess) return r;
  }
  add(out, clique, rank, device);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int ranks, ncclUniqueId id, int rank) {
  return ncclCommInitRankConfig(out, ranks, id, rank, nullptr);
}

ncclResult_t ncclCommInitAll(ncclComm_t *out, int n, const int *devices) {
  FAULT;
  if (out == nullptr || n < 1) return error(ncclInvalidArgument, "number of devices");
  auto clique = std::make_shared<Clique>();
  clique->ranks = clique->joined = n;
  for (int i = 0; i < n; i++) {
    int device = devices != nullptr ? devices[i] : i;
    if (device < 0 || device >= export_devices()) return error(ncclInvalidArgument, "no such device");
    for (int d : clique->device)
      if (d == device) return error(ncclInvalidUsage, "two ranks on one device");
    clique->device.push_back(device);
  }
  for (int i = 0; i < n; i++) add(&out[i], clique, i, clique->device[size_t(i)]);
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  FAULT;
  ncclResult_t r = usable(comm);
  if (r == ncclSuccess) comm->finalized = true;
  return r;
}

static bool known(ncclComm_t comm) {
  std::lock_guard<std::mutex> guard(mutex);
  return comms().count(comm) != 0;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  bool fault = export_nccl_fault();
  if (comm == nullptr) return ncclSuccess;
  if (!known(comm)) return error(ncclInvalidArgument, "not a communicator");
  sg::remove(comm);
  return fault ? error(ncclInternalError, "a fault of the plan") : ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  bool fault = export_nccl_fault();
  if (comm == nullptr) return ncclSuccess;
  if (!known(comm)) return error(ncclInvalidArgument, "not a communicator");
  {
    std::lock_guard<std::mutex> guard(comm->clique->mutex);
    comm->clique->aborted = true;
    comm->clique->changed.notify_all();
  }
  sg::remove(comm);
  return fault ? error(ncclInternalError, "a fault of the plan") : ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *out) {
  if (out == nullptr || !known(comm)) return error(ncclInvalidArgument, "not a communicator");
  std::lock_guard<std::mutex> guard(comm->clique->mutex);
  *out = comm->clique->error != ncclSuccess ? comm->clique->error : comm->clique->aborted ? ncclRemoteError : ncclSuccess;
  return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *out) {
  if (out == nullptr || !known(comm)) return error(ncclInvalidArgument, "not a communicator");
  *out = comm->clique->ranks;
  return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *out) {
  if (out == nullptr || !known(comm)) return error(ncclInvalidArgument, "not a communicator");
  *out = comm->device;
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *out) {
  if (out == nullptr || !known(comm)) return error(ncclInvalidArgument, "not a communicator");
  *out = comm->rank;
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  FAULT;
  group.depth++;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  bool fault = export_nccl_fault();
  if (group.depth == 0) return error(ncclInvalidUsage, "no group was started");
  if (fault && group.error == ncclSuccess) group.error = ncclInternalError;
  if (--group.depth > 0) return ncclSuccess;
  Group mine = std::move(group);
  group = Group();
  ncclResult_t r = mine.error; /* of a call inside: then nothing is started */
  for (size_t i = 0; i < mine.joining.size() && r == ncclSuccess; i++) r = wait_joined(mine.joining[i]);
  for (size_t i = 0; i < mine.calls.size() && r == ncclSuccess; i++) r = mine.calls[i]();
  for (size_t i = 0; i < mine.order.size() && r == ncclSuccess; i++)
    r = start_transfers(mine.order[i].first, mine.order[i].second, mine.transfers[mine.order[i]]);
  return r;
}

ncclResult_t ncclSend(const void *p, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return transfer(true, const_cast<void *>(p), count, type, peer, comm, stream);
}

ncclResult_t ncclRecv(void *p, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return transfer(false, p, count, type, peer, comm, stream);
}

ncclResult_t ncclBroadcast(const void *send, void *recv, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  bool is_root = known(comm) && comm->rank == root;
  size_t written = is_root && send == recv ? 0 : count; /* in place the root's memory is read only */
  return collective("ncclBroadcast", comm, stream, {Coll::broadcast, count, type, ncclSum, root}, send, is_root ? count : 0, recv, written);
}

ncclResult_t ncclBcast(void *p, size_t count, ncclDataType_t type, int root, ncclComm_t comm, cudaStream_t stream) {
  return ncclBroadcast(p, p, count, type, root, comm, stream);
}

ncclResult_t ncclAllReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                           cudaStream_t stream) {
  return collective("ncclAllReduce", comm, stream, {Coll::all_reduce, count, type, op, 0}, send, count, recv, count);
}

ncclResult_t ncclReduce(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op, int root, ncclComm_t comm,
                        cudaStream_t stream) {
  bool is_root = known(comm) && comm->rank == root;
  return collective("ncclReduce", comm, stream, {Coll::reduce, count, type, op, root}, send, count, recv, is_root ? count : 0);
}

ncclResult_t ncclAllGather(const void *send, void *recv, size_t count, ncclDataType_t type, ncclComm_t comm, cudaStream_t stream) {
  size_t ranks = known(comm) ? size_t(comm->clique->ranks) : 1;
  return collective("ncclAllGather", comm, stream, {Coll::all_gather, count, type, ncclSum, 0}, send, count, recv, count * ranks);
}

ncclResult_t ncclReduceScatter(const void *send, void *recv, size_t count, ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                               cudaStream_t stream) {
  size_t ranks = known(comm) ? size_t(comm->clique->ranks) : 1;
  return collective("ncclReduceScatter", comm, stream, {Coll::reduce_scatter, count, type, op, 0}, send, count * ranks, recv, count);
}
