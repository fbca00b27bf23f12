/*
 * Mailboxes of the actors (session, device owners): messages in order, any thread posts, the owner takes.
 *
 * Messages are part of what they are about; a message is in at most one mailbox at a time.
 */
#ifndef MX_MAILBOX_H
#define MX_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct mx_message {
  struct mx_message *next;
  int kind;
} mx_message;

typedef struct mx_mailbox {
  pthread_mutex_t lock;
  pthread_cond_t arrived;
  mx_message *head, **tail;
  bool waiting;
} mx_mailbox;

int mx_mailbox_init(mx_mailbox *box); /* 0 or an errno */
void mx_mailbox_reset(mx_mailbox *box);
void mx_mailbox_post(mx_mailbox *box, mx_message *message);
/* All messages that are there, oldest first, linked by next; NULL if none came within timeout_ms (negative: wait for ever;
   0: do not wait). */
mx_message *mx_mailbox_take(mx_mailbox *box, int timeout_ms);

#endif
