/*
 * A write is followed twice: before it, as if it were taken whole, so that sessions are known before the bytes leave; and
 * behind it, by what was taken, so that a response counts as complete only when it is.
 */
#include "preload/http_exchange.h"

#include <sched.h>
#include <string.h>

/* Of a request, as its response has to know. */
#define KIND_HEAD 1
#define KIND_OPENS_SESSION 2

/* How often a reader yields to a writer that is about to have completed a response. */
#define YIELDS_MAX 1000

/* Of `told`. */
#define TOLD_RESTS 1u
#define TOLD_LOST 2u
#define TOLD_COUNT_SHIFT 2

static void publish_progress(struct lp_http_exchange_out *out)
{
	const struct lp_answers *answers = &out->answers;
	out->told = (uint64_t)answers->count << TOLD_COUNT_SHIFT | (answers->lost ? TOLD_LOST : 0) |
		    (lp_http_response_rests(&answers->response) ? TOLD_RESTS : 0);
}

void lp_http_exchange_begin(struct lp_http_exchange *exchange, bool routed)
{
	memset(exchange, 0, sizeof(*exchange));
	exchange->in.phase = LP_HTTP_EXCHANGE_HEAD;
	exchange->in.first = true;
	exchange->in.routed = routed;
	publish_progress(&exchange->out);
}

void lp_http_exchange_stop(struct lp_http_exchange *exchange)
{
	exchange->in.phase = LP_HTTP_EXCHANGE_OPAQUE;
}

enum lp_http_exchange_phase lp_http_exchange_phase(struct lp_http_exchange *exchange)
{
	if (exchange->out.switched)
		exchange->in.phase = LP_HTTP_EXCHANGE_OPAQUE;
	return (enum lp_http_exchange_phase)exchange->in.phase;
}

/* Requests */

static bool is_answered_now(const struct lp_http_exchange *exchange)
{
	uint64_t told = exchange->out.told;
	return !(told & TOLD_LOST) && told & TOLD_RESTS &&
	       (uint32_t)(told >> TOLD_COUNT_SHIFT) == exchange->in.requests;
}

bool lp_http_exchange_is_answered(struct lp_http_exchange *exchange)
{
	for (unsigned i = 0; i < YIELDS_MAX && !is_answered_now(exchange) && exchange->out.finishing; i++)
		sched_yield();
	return is_answered_now(exchange);
}

/* Note what the response will be matched with. Returns false when too many are unanswered. */
static bool note_request(struct lp_http_exchange *exchange, const struct lp_http_request *request,
			 const struct lp_session_learner *learn)
{
	struct lp_http_exchange_in *in = &exchange->in;
	uint32_t number = in->requests;
	if (number - (uint32_t)(exchange->out.told >> TOLD_COUNT_SHIFT) >= LP_HTTP_EXCHANGE_AHEAD)
		return false;
	in->kinds[number % LP_HTTP_EXCHANGE_AHEAD] =
		(uint8_t)((request->is_head ? KIND_HEAD : 0) | (request->opens_session ? KIND_OPENS_SESSION : 0));
	lp_session_learner_carried(learn, request, &in->carried[number % 2]);
	in->requests = number + 1;
	return true;
}

void lp_http_exchange_take_request(struct lp_http_exchange *exchange, const struct lp_http_request *request,
				   size_t seen, const struct lp_session_learner *learn)
{
	struct lp_http_exchange_in *in = &exchange->in;
	in->first = false;
	if (request->end == LP_END_NEVER || !note_request(exchange, request, learn)) {
		in->phase = LP_HTTP_EXCHANGE_OPAQUE;
		return;
	}
	if (in->phase == LP_HTTP_EXCHANGE_LOST || request->end == LP_END_UNKNOWN) {
		in->phase = LP_HTTP_EXCHANGE_LOST;
		return;
	}
	bool chunked = request->end == LP_END_CHUNKED;
	in->phase = chunked ? LP_HTTP_EXCHANGE_CHUNKED : LP_HTTP_EXCHANGE_BODY;
	in->left = request->head + (chunked ? 0 : request->body);
	in->chunked = (struct lp_http_chunked){0};
	in->more = seen > in->left || seen == LP_HTTP_REQUEST_HEAD_MAX || seen < in->left;
}

uint64_t lp_http_exchange_chunks(struct lp_http_exchange *exchange, const char *bytes, size_t length)
{
	struct lp_http_exchange_in *in = &exchange->in;
	struct lp_http_chunked ahead = in->chunked;
	size_t used = 0;
	if (length <= in->left)
		return in->left;
	enum lp_http_chunked_status status =
		lp_http_chunked_follow(&ahead, bytes + in->left, length - (size_t)in->left, &used);
	if (status == LP_HTTP_CHUNKED_BROKEN)
		in->phase = LP_HTTP_EXCHANGE_LOST;
	uint64_t allowed = in->left + used;
	in->more = length > allowed;
	return status == LP_HTTP_CHUNKED_MORE ? allowed + lp_http_chunked_data_left(&ahead) : allowed;
}

/* A piece of a request in chunks was read. */
static void follow_chunks(struct lp_http_exchange_in *in, const char *bytes, size_t length)
{
	size_t head = in->left < length ? (size_t)in->left : length;
	size_t used;
	in->left -= head;
	if (length == head)
		return;
	enum lp_http_chunked_status status = lp_http_chunked_follow(&in->chunked, bytes + head, length - head, &used);
	if (status == LP_HTTP_CHUNKED_BROKEN)
		in->phase = LP_HTTP_EXCHANGE_LOST;
	else if (status == LP_HTTP_CHUNKED_DONE)
		in->phase = LP_HTTP_EXCHANGE_HEAD;
}

void lp_http_exchange_has_read(struct lp_http_exchange *exchange, const struct iovec *pieces, size_t count, size_t got)
{
	struct lp_http_exchange_in *in = &exchange->in;
	if (in->phase == LP_HTTP_EXCHANGE_BODY) {
		in->left -= got < in->left ? got : in->left;
		if (!in->left)
			in->phase = LP_HTTP_EXCHANGE_HEAD;
	}
	for (size_t i = 0; i < count && got && in->phase == LP_HTTP_EXCHANGE_CHUNKED; i++) {
		size_t length = pieces[i].iov_len < got ? pieces[i].iov_len : got;
		follow_chunks(in, pieces[i].iov_base, length);
		got -= length;
	}
}

/* Responses */

/* Where a response is learnt from. */
struct lesson {
	const struct lp_session_learner *learn;
	lp_session_learner_cb found; /* NULL: what there is to learn was learnt before. */
};

/* What a body's first bytes tell; those that came in pieces are kept in the response's text. */
static void learn_body(struct lp_http_response *response, struct lp_slice body, const struct lesson *lesson)
{
	struct lp_slice key;
	if (response->kept == LP_HTTP_RESPONSE_DONE)
		return;
	if (response->kept) {
		size_t room = sizeof(response->text) - response->kept;
		size_t count = body.length < room ? body.length : room;
		memcpy(response->text + response->kept, body.bytes, count);
		body = (struct lp_slice){response->text, response->kept + count};
	}
	enum lp_session_learner_open open = lp_session_learner_open(body, &key);
	if (open == LP_OPEN_KEY && lesson->found)
		lesson->found(key);
	if (open != LP_OPEN_MORE || body.length >= sizeof(response->text)) {
		response->kept = LP_HTTP_RESPONSE_DONE;
		return;
	}
	if (!response->kept)
		memcpy(response->text, body.bytes, body.length);
	response->kept = (uint16_t)body.length;
}

static void learn_header(const struct lp_http_exchange *exchange, uint32_t number, struct lp_slice line,
			 const struct lesson *lesson)
{
	if (!lesson->found || !lesson->learn->count || exchange->in.requests != number + 1)
		return; /* With several unanswered, what this one's request carried is not known any more. */
	struct lp_slice key = lp_session_learner_header(lesson->learn, line, &exchange->in.carried[number % 2]);
	if (key.bytes)
		lesson->found(key);
}

static void follow_response(struct lp_http_exchange *exchange, struct lp_answers *answers, struct lp_slice bytes,
			    const struct lesson *lesson)
{
	struct lp_http_response *response = &answers->response;
	for (;;) {
		struct lp_slice slice;
		enum lp_http_response_event event = lp_http_response_next(response, &bytes, &slice);
		uint8_t kind = exchange->in.kinds[answers->count % LP_HTTP_EXCHANGE_AHEAD];
		if (event == LP_HTTP_RESPONSE_HEAD) {
			if (answers->count == exchange->in.requests) { /* An answer to nothing. */
				answers->lost = true;
				return;
			}
			event = lp_http_response_begin_body(response, kind & KIND_HEAD);
			if (event == LP_HTTP_RESPONSE_MORE) {
				response->kept = kind & KIND_OPENS_SESSION ? 0 : LP_HTTP_RESPONSE_DONE;
				continue;
			}
		}
		switch (event) {
		case LP_HTTP_RESPONSE_HEADER:
			learn_header(exchange, answers->count, slice, lesson);
			continue;
		case LP_HTTP_RESPONSE_BODY:
			learn_body(response, slice, lesson);
			continue;
		case LP_HTTP_RESPONSE_END:
			answers->count++;
			continue;
		case LP_HTTP_RESPONSE_SWITCH:
			if (lesson->found)
				exchange->out.switched = true;
			answers->lost = true;
			return;
		case LP_HTTP_RESPONSE_LOSE:
			answers->lost = true;
			return;
		case LP_HTTP_RESPONSE_HEAD:
		case LP_HTTP_RESPONSE_MORE:
			return;
		}
	}
}

static void follow_pieces(struct lp_http_exchange *exchange, struct lp_answers *answers, const struct iovec *pieces,
			  size_t count, size_t length, const struct lesson *lesson)
{
	for (size_t i = 0; i < count && length && !answers->lost; i++) {
		size_t size = pieces[i].iov_len < length ? pieces[i].iov_len : length;
		if (size)
			follow_response(exchange, answers, (struct lp_slice){pieces[i].iov_base, size}, lesson);
		length -= size;
	}
}

void lp_http_exchange_writes(struct lp_http_exchange *exchange, const struct iovec *pieces, size_t count,
			     struct lp_http_exchange_write *write, const struct lp_session_learner *learn,
			     lp_session_learner_cb found)
{
	struct lp_http_exchange_out *out = &exchange->out;
	write->followed = exchange->in.phase != LP_HTTP_EXCHANGE_OPAQUE && !out->answers.lost;
	if (!write->followed)
		return;
	write->length = 0;
	for (size_t i = 0; i < count; i++)
		write->length += pieces[i].iov_len;
	write->after = out->answers;
	follow_pieces(exchange, &write->after, pieces, count, write->length, &(struct lesson){learn, found});
	out->finishing = !write->after.lost && write->after.count == exchange->in.requests;
}

void lp_http_exchange_has_written(struct lp_http_exchange *exchange, const struct iovec *pieces, size_t count,
				  struct lp_http_exchange_write *write, const struct lp_session_learner *learn,
				  ssize_t result)
{
	struct lp_http_exchange_out *out = &exchange->out;
	if (!write->followed)
		return;
	if (result >= 0 && (size_t)result == write->length)
		out->answers = write->after;
	else if (result > 0)
		follow_pieces(exchange, &out->answers, pieces, count, (size_t)result, &(struct lesson){learn, NULL});
	publish_progress(out);
	out->finishing = false;
}

void lp_http_exchange_has_sent(struct lp_http_exchange *exchange, uint64_t count)
{
	struct lp_http_exchange_out *out = &exchange->out;
	if (exchange->in.phase == LP_HTTP_EXCHANGE_OPAQUE || out->answers.lost)
		return;
	enum lp_http_response_event event = lp_http_response_skip(&out->answers.response, count);
	out->answers.count += event == LP_HTTP_RESPONSE_END;
	out->answers.lost = event == LP_HTTP_RESPONSE_LOSE;
	publish_progress(out);
}
