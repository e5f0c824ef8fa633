/**
 * What an answer may carry beside its meaning, a Reason String and User Properties, goes if the client's Maximum Packet Size
 * leaves no room for it; the answer itself stays.
 */
#ifndef TESTS_CONFORMANCE_OPTIONAL_PARTS_H
#define TESTS_CONFORMANCE_OPTIONAL_PARTS_H

struct harness;
struct properties;
struct tc;

/** Make the broker answer C with the packet in question, and expect it. Returns its properties. */
typedef const struct properties *provoke_fn(struct tc *c);

/** Fail unless what PROVOKE provokes has a Reason String that goes exactly when there is no room for it. */
void check_optional_parts(struct harness *h, provoke_fn *provoke);

#endif
