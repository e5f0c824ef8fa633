/**
 * Read-copy-update, the QSBR flavour of liburcu, behind functions that ThreadSanitizer understands.
 *
 * A thread that reads shared structures is registered. It says at the end of every loop turn that it keeps no pointer into
 * them (quiescent), and goes offline while it sleeps. What a writer has taken out of a structure it hands to tg_rcu_call(): the
 * function runs, on liburcu's own thread, when every registered thread has been quiescent or offline since. Nobody waits for that.
 *
 *     reader   ... p = tg_rcu_dereference(head); use *p ... tg_rcu_quiescent() ......
 *     writer   tg_rcu_assign(head, new); tg_rcu_call(&old->rcu, fn)                  fn(&old->rcu)
 *
 * liburcu is not instrumented, so the order that a grace period gives (every use before fn) is told to ThreadSanitizer
 * by annotations in rcu.c; pointers are C11 atomics. synchronize_rcu is left out on purpose: no worker may wait.
 */
#ifndef GATEWAY_BASE_RCU_H
#define GATEWAY_BASE_RCU_H

#include <stdatomic.h>

struct tg_rcu_head;

/** Gets the head that was given to tg_rcu_call(), once; usually frees what it is part of. Must not block for long. */
typedef void (*tg_rcu_fn)(struct tg_rcu_head *head);

/** Part of an object that will be freed after a grace period; needs no initialisation, may overlay what no reader reads. */
struct tg_rcu_head {
    void *urcu[2]; /* liburcu's struct rcu_head, whose header would rename half the world */
    tg_rcu_fn fn;
};

/** Make the calling thread a reader, online. Once a thread, before anything else here. */
void tg_rcu_register_thread(void);

/** The calling thread reads no more; must be called before it ends. Afterwards it may register again. */
void tg_rcu_unregister_thread(void);

/** The calling thread, registered and online, keeps no pointer that it has read. Cheap: once per loop turn. */
void tg_rcu_quiescent(void);

/** The calling thread keeps no pointer and reads nothing until tg_rcu_online(): around every call that may sleep. */
void tg_rcu_offline(void);
void tg_rcu_online(void);

/**
 * Call FN(HEAD) once every thread that is a reader now has been quiescent, offline or unregistered. Returns at once. The caller
 * is registered and has made what HEAD is part of unreachable; it may be inside a callback.
 */
void tg_rcu_call(struct tg_rcu_head *head, tg_rcu_fn fn);

/**
 * Wait until every callback submitted before has returned; the caller is treated as offline meanwhile. For tests and
 * the end of the process, when no other registered thread is stuck online; never on a worker.
 */
void tg_rcu_barrier(void);

/** Load an _Atomic pointer through which a reader reaches an object; what was written to it before assignment is seen. */
#define tg_rcu_dereference(pointer) atomic_load_explicit(&(pointer), memory_order_acquire)

/** Publish VALUE in an _Atomic pointer: all that was written to the object before is seen by readers who find it. */
#define tg_rcu_assign(pointer, value) atomic_store_explicit(&(pointer), (value), memory_order_release)

#endif
