set(MARS_EXEC_SOURCES
  pool.c
  fuse/build.c fuse/fuse.c fuse/routine.c
  tile/grid.c tile/region.c tile/routine.c tile/tasks.c
  routines/table.c routines/panels.c routines/matmul.c routines/matmul_layout.c
  routines/cholesky.c routines/triangular.c routines/lu.c routines/solve.c routines/det.c
  routines/qr.c routines/qr_panels.c routines/svd.c routines/svd_dense.c routines/eigh.c routines/tall.c routines/user.c
  plan/join.c plan/make.c plan/moves.c plan/order.c plan/place.c plan/residency.c plan/schedule.c plan/space.c plan/validate.c
  sim/sim.c
  exec/actor.c exec/bind.c exec/devices.c exec/executor.c exec/explain.c exec/export.c exec/mailbox.c exec/gather.c exec/moves.c exec/owner.c exec/run.c exec/session.c exec/turn.c exec/value.c)
