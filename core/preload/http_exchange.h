/**
 * What goes back and forth on one connection: requests that the program reads, and the responses that it writes. No
 * sockets: who reads and writes them is told what may be read, and tells what was.
 *
 * Requests:
 *
 *     phase    next byte                          leaves on
 *     HEAD     begins a request                   its head was looked at -> BODY, CHUNKED, LOST, OPAQUE
 *     BODY     of a request that has a length     its last byte was read -> HEAD
 *     CHUNKED  of a request in chunks             its last byte was read -> HEAD; broken chunks -> LOST
 *     LOST     of a request whose end is unknown  never: but while every response is complete, what comes next may be
 *                                                 a head
 *     OPAQUE   anything                           never: no HTTP/1, a CONNECT, an upgrade, more requests ahead of their
 *                                                 responses than LP_HTTP_EXCHANGE_AHEAD, or two descriptors for it
 *
 * Responses (http_response.h) are matched with requests in order: a response is complete with its last byte, a 1xx is none. One
 * that answers nothing, or whose end is unknown, ends the matching for good: such a connection is never `answered`.
 *
 * One thread may read while another writes. What each of them changes is in cache lines of its own, and what the other looks
 * at is atomic; nothing is a bit-field.
 */
#ifndef LP_PRELOAD_HTTP_EXCHANGE_H
#define LP_PRELOAD_HTTP_EXCHANGE_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/slice.h"
#include "preload/http_chunked.h"
#include "preload/http_request.h"
#include "preload/http_response.h"
#include "preload/session_learner.h"

/** Requests that may be read ahead of their responses; a power of two. */
#define LP_HTTP_EXCHANGE_AHEAD 16

/** Bytes of a cache line. */
#define LP_HTTP_EXCHANGE_LINE 64

enum lp_http_exchange_phase {
	LP_HTTP_EXCHANGE_OPAQUE,
	LP_HTTP_EXCHANGE_HEAD,
	LP_HTTP_EXCHANGE_BODY,
	LP_HTTP_EXCHANGE_CHUNKED,
	LP_HTTP_EXCHANGE_LOST,
};

/** Changed by who reads. */
struct lp_http_exchange_in {
	_Atomic uint8_t phase;
	bool first;  /**< No request was looked at yet. */
	bool routed; /**< limpet wants to decide on later requests. */
	bool more;   /**< Bytes behind those that may be read now have come, as far as is known. */
	_Atomic uint32_t requests;
	uint64_t left; /**< BODY: bytes of the request; CHUNKED: of its head. */
	struct lp_http_chunked chunked;
	_Atomic uint8_t kinds[LP_HTTP_EXCHANGE_AHEAD]; /**< Of requests, by their number. */
	struct lp_carried carried[2];                  /**< What the last two brought, by their number. */
};

/** Where the responses are. */
struct lp_answers {
	uint32_t count;
	bool lost;
	struct lp_http_response response;
};

/** Changed by who writes. */
struct lp_http_exchange_out {
	struct lp_answers answers;
	_Atomic uint64_t told;  /**< What who reads has to know of them. */
	_Atomic bool switched;  /**< A 101 is on its way. */
	_Atomic bool finishing; /**< A write is under way that completes what is unanswered. */
};

/** All zero: OPAQUE. */
struct lp_http_exchange {
	alignas(LP_HTTP_EXCHANGE_LINE) struct lp_http_exchange_in in;
	alignas(LP_HTTP_EXCHANGE_LINE) struct lp_http_exchange_out out;
};

/** A write, from before it to behind it. */
struct lp_http_exchange_write {
	bool followed;
	size_t length;
	struct lp_answers after; /**< If it is taken whole. */
};

/** Begin at HEAD. @param exchange Any memory. @param routed Whether limpet wants to decide on later requests. */
void lp_http_exchange_begin(struct lp_http_exchange *exchange, bool routed);

/** Become OPAQUE. @param exchange Any. */
void lp_http_exchange_stop(struct lp_http_exchange *exchange);

/** The phase. @param exchange Any. */
enum lp_http_exchange_phase lp_http_exchange_phase(struct lp_http_exchange *exchange);

/**
 * Whether each request has its complete response, and nothing of another was written. A write that is under way and would
 * make it so is waited for, for a moment.
 *
 * @param exchange  Any.
 */
bool lp_http_exchange_is_answered(struct lp_http_exchange *exchange);

/**
 * The program is going to read a request, whose head comes next.
 *
 * @param exchange  HEAD, or LOST and answered.
 * @param request   Its head.
 * @param seen      Bytes that have come, from the head's first.
 * @param learn     Rules.
 */
void lp_http_exchange_take_request(struct lp_http_exchange *exchange, const struct lp_http_request *request,
				   size_t seen, const struct lp_session_learner *learn);

/**
 * How much of a request in chunks may be read.
 *
 * @param exchange  CHUNKED. LOST afterwards, if its chunks are broken.
 * @param bytes     What comes next, as far as it was looked at.
 * @param length    How many, 1 or more.
 *
 * @return Bytes, 1 or more: to the request's end, or to where nothing is known.
 */
uint64_t lp_http_exchange_chunks(struct lp_http_exchange *exchange, const char *bytes, size_t length);

/**
 * The program has read.
 *
 * @param exchange  BODY, CHUNKED or LOST; not more than was allowed.
 * @param pieces    What was read into.
 * @param count     How many.
 * @param got       Bytes, 1 or more.
 */
void lp_http_exchange_has_read(struct lp_http_exchange *exchange, const struct iovec *pieces, size_t count, size_t got);

/**
 * The program is going to write. Learns sessions, so that limpet knows them before the client can.
 *
 * @param exchange  Any.
 * @param pieces    What it writes.
 * @param count     How many.
 * @param write     Filled, for lp_http_exchange_has_written.
 * @param learn     Rules.
 * @param found     Runs for each session's key, which is inside the pieces or write.
 */
void lp_http_exchange_writes(struct lp_http_exchange *exchange, const struct iovec *pieces, size_t count,
			     struct lp_http_exchange_write *write, const struct lp_session_learner *learn,
			     lp_session_learner_cb found);

/**
 * The program has written.
 *
 * @param exchange  As before.
 * @param pieces    As before.
 * @param count     As before.
 * @param write     Of lp_http_exchange_writes.
 * @param learn     As before.
 * @param result    Bytes that were taken, or negative.
 */
void lp_http_exchange_has_written(struct lp_http_exchange *exchange, const struct iovec *pieces, size_t count,
				  struct lp_http_exchange_write *write, const struct lp_session_learner *learn,
				  ssize_t result);

/** Bytes have left that nobody looked at. @param exchange Any. @param count How many, 1 or more. */
void lp_http_exchange_has_sent(struct lp_http_exchange *exchange, uint64_t count);

#endif
