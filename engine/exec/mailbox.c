#include "engine/exec/mailbox.h"

#include <errno.h>
#include <time.h>

int mx_mailbox_init(mx_mailbox *box) {
  pthread_condattr_t attr;
  int e = pthread_mutex_init(&box->lock, NULL);
  if (e) return e;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  e = pthread_cond_init(&box->arrived, &attr);
  pthread_condattr_destroy(&attr);
  if (e) pthread_mutex_destroy(&box->lock);
  box->head = NULL;
  box->tail = &box->head;
  box->waiting = false;
  return e;
}

void mx_mailbox_reset(mx_mailbox *box) {
  pthread_cond_destroy(&box->arrived);
  pthread_mutex_destroy(&box->lock);
}

void mx_mailbox_post(mx_mailbox *box, mx_message *message) {
  message->next = NULL;
  pthread_mutex_lock(&box->lock);
  *box->tail = message;
  box->tail = &message->next;
  if (box->waiting) pthread_cond_signal(&box->arrived);
  pthread_mutex_unlock(&box->lock);
}

mx_message *mx_mailbox_take(mx_mailbox *box, int timeout_ms) {
  pthread_mutex_lock(&box->lock);
  if (!box->head && timeout_ms) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    box->waiting = true;
    while (!box->head) {
      int e = timeout_ms < 0 ? pthread_cond_wait(&box->arrived, &box->lock)
                             : pthread_cond_timedwait(&box->arrived, &box->lock, &until);
      if (e == ETIMEDOUT) break;
    }
    box->waiting = false;
  }
  mx_message *all = box->head;
  box->head = NULL;
  box->tail = &box->head;
  pthread_mutex_unlock(&box->lock);
  return all;
}
