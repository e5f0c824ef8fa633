/**
 * TG_ASSERT: a bug of ours ends the process, in release builds too.
 *
 * It states what the code around it guarantees. What a peer, a file or the system can bring about is never
 * asserted: that is handled. The argument has no side effects.
 */
#ifndef GATEWAY_BASE_ASSERT_H
#define GATEWAY_BASE_ASSERT_H

#define TG_ASSERT(condition)                                                                                           \
    (__builtin_expect(!!(condition), 1) ? (void)0 : tg_assert_failed(#condition, __FILE__, __LINE__, __func__))

/**
 * Say on standard error which assertion failed where, then abort(3), so that a core shows the state.
 * Not for direct use. Any thread.
 */
_Noreturn void tg_assert_failed(const char *condition, const char *file, int line, const char *function)
    __attribute__((cold));

#endif
