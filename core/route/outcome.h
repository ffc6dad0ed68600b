/**
 * What became of a connection: for counts, for the decision log, and for metrics.
 */
#ifndef LP_ROUTE_OUTCOME_H
#define LP_ROUTE_OUTCOME_H

/** Each with a word for programs and a sentence's end for people: "why did this client get 503?". */
#define LP_OUTCOME_EACH(OUTCOME)                                                                                       \
	/* Not decided: it waits for its head, its session or a worker. */                                             \
	OUTCOME(WAITS, "waiting", "it waits")                                                                          \
	/* Handed over; the worker has not taken it yet. */                                                            \
	OUTCOME(SENT, "sent", "the worker has not taken it yet")                                                       \
	OUTCOME(ARRIVED, "arrived", "the worker took it")                                                              \
	OUTCOME(REFUSED_POLICY, "refused_by_policy", "a policy refused it")                                            \
	OUTCOME(HEAD_TOO_LONG, "head_too_long", "its request head was longer than --max-head")                         \
	OUTCOME(HEAD_TIMEOUT, "head_timeout", "its request head did not come within --head-timeout")                   \
	OUTCOME(NO_WORKER, "no_worker", "no worker could take it within --head-timeout")                               \
	OUTCOME(NO_ROOM, "no_room", "--max-waiting connections waited already")                                        \
	OUTCOME(PUSHED_OUT, "pushed_out", "it made room for others, as --max-waiting connections waited")              \
	OUTCOME(CLOSED_FOR_ROOM, "closed_for_room", "it was closed to make room, as --max-waiting connections waited") \
	OUTCOME(STOPPING, "stopping", "limpet was stopping")                                                           \
	OUTCOME(PER_ADDRESS, "per_address", "its address had too many connections (--max-per-ip)")                     \
	OUTCOME(ADDRESS_RATE, "address_rate", "its address opened too many connections (--max-rate-per-ip)")           \
	OUTCOME(CLIENT_LEFT, "client_left", "the client left")                                                         \
	OUTCOME(SILENT, "silent", "the client said nothing within --head-timeout")                                     \
	OUTCOME(FAILED, "failed", "there was no memory or no descriptor for it")

#define LP_OUTCOME_WORD(name, word, sentence) [LP_OUTCOME_##name] = (word),
#define LP_OUTCOME_SENTENCE(name, word, sentence) {word, sentence},
#define LP_OUTCOME_ENUMERATOR(name, word, sentence) LP_OUTCOME_##name,
enum lp_outcome { LP_OUTCOME_EACH(LP_OUTCOME_ENUMERATOR) LP_OUTCOMES };

#endif
