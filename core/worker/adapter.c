/*
 *     letter                                     goes to
 *     source "_sio_adapter" without uid (0.1, 0.2)
 *       type 9, 11 (answers)                     the worker data.workerId
 *       any other                                all others
 *     source "_sio_adapter" with uid (0.3)
 *       type 8, 10 (answers)                     the worker that has spoken as requesterUid
 *       any other                                all others
 *     _source "_eio"
 *       with a recipientId that has spoken       its worker
 *       any other                                all others
 *
 * When a worker has ended, the others that speak as it did are told what it would have said itself, had it closed:
 *     0.1, 0.2   {type: 3 (exit), data: its id}
 *     0.3        {type: 13 (close), uid, nsp} for each of its adapters; there is one for each namespace. (Its package's
 *                primary says nothing, and everybody waits for the time-out.)
 * An answer for somebody who is not there any more is dropped. Numbers mean other things to the other version, so each
 * hears only its own.
 */
#include "worker/adapter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLD_FETCH_ANSWER = 9, OLD_EMIT_ANSWER = 11, FETCH_ANSWER = 8, EMIT_ANSWER = 10, CLOSE = 13 };

/* A letter of ours to adapters: two identifiers and a few words. */
#define OWN_LETTER_MAX (2 * LP_NODE_ID_MAX + 128)

int lp_adapter_init(struct lp_adapter *adapter, const struct lp_post *post, uint64_t seed)
{
	*adapter = (struct lp_adapter){.post = post, .is_old = calloc(post->workers + 1, sizeof(bool))};
	if (adapter->is_old && lp_nodes_init(&adapter->adapters, post->workers, seed) == 0 &&
	    lp_nodes_init(&adapter->engines, post->workers, seed) == 0)
		return 0;
	lp_adapter_deinit(adapter);
	return -ENOMEM;
}

void lp_adapter_deinit(struct lp_adapter *adapter)
{
	lp_nodes_deinit(&adapter->adapters);
	lp_nodes_deinit(&adapter->engines);
	free(adapter->is_old);
	adapter->is_old = NULL;
}

static void send_to(const struct lp_post *post, long worker, const struct lp_letter *letter)
{
	if (worker > 0 && worker <= (long)post->workers)
		post->send(post->owner, (unsigned)worker, letter->bytes);
}

static void send_to_others(const struct lp_post *post, unsigned sender, const struct lp_letter *letter)
{
	for (unsigned worker = 1; worker <= post->workers; worker++)
		if (worker != sender)
			post->send(post->owner, worker, letter->bytes);
}

static void take_old(struct lp_adapter *adapter, unsigned worker, const struct lp_letter *letter)
{
	long type = lp_json_number(letter->fields[LP_LETTER_TYPE]);
	adapter->is_old[worker] = true;
	if (type == OLD_FETCH_ANSWER || type == OLD_EMIT_ANSWER)
		send_to(adapter->post, lp_json_number(lp_json_member(letter->fields[LP_LETTER_DATA], "workerId")),
			letter);
	else
		send_to_others(adapter->post, worker, letter);
}

static void take_new(struct lp_adapter *adapter, unsigned worker, const struct lp_letter *letter)
{
	const struct lp_slice *fields = letter->fields;
	long type = lp_json_number(fields[LP_LETTER_TYPE]);
	if (type == FETCH_ANSWER || type == EMIT_ANSWER) {
		const struct lp_speaker *requester = lp_nodes_find(&adapter->adapters, fields[LP_LETTER_REQUESTER]);
		if (requester)
			send_to(adapter->post, requester->worker, letter);
		return;
	}
	lp_nodes_learn(&adapter->adapters, fields[LP_LETTER_UID], fields[LP_LETTER_NSP], worker);
	send_to_others(adapter->post, worker, letter);
	struct lp_speaker *speaker = type == CLOSE ? lp_nodes_find(&adapter->adapters, fields[LP_LETTER_UID]) : NULL;
	if (speaker)
		lp_nodes_forget(&adapter->adapters, speaker);
}

static void take_engine(struct lp_adapter *adapter, unsigned worker, const struct lp_letter *letter)
{
	const struct lp_slice *fields = letter->fields;
	if (fields[LP_LETTER_SENDER].bytes && !lp_nodes_of(&adapter->engines, worker))
		lp_nodes_learn(&adapter->engines, fields[LP_LETTER_SENDER], (struct lp_slice){0}, worker);
	const struct lp_speaker *recipient = lp_nodes_find(&adapter->engines, fields[LP_LETTER_RECIPIENT]);
	if (recipient)
		send_to(adapter->post, recipient->worker, letter);
	else
		send_to_others(adapter->post, worker, letter);
}

bool lp_adapter_take(struct lp_adapter *adapter, unsigned worker, const struct lp_letter *letter)
{
	if (lp_json_is(letter->fields[LP_LETTER_SOURCE], LP_SLICE("_sio_adapter"))) {
		if (letter->fields[LP_LETTER_UID].bytes)
			take_new(adapter, worker, letter);
		else
			take_old(adapter, worker, letter);
		return true;
	}
	if (lp_json_is(letter->fields[LP_LETTER_ENGINE_SOURCE], LP_SLICE("_eio"))) {
		take_engine(adapter, worker, letter);
		return true;
	}
	return false;
}

/* Those who may wait for one: they have spoken as it did. */
static void tell_adapters(const struct lp_adapter *adapter, const struct lp_speaker *gone)
{
	char text[OWN_LETTER_MAX];
	struct lp_slice nsp = gone->nsp.bytes ? gone->nsp : LP_SLICE("null");
	int length =
		snprintf(text, sizeof(text), "{\"source\":\"_sio_adapter\",\"type\":%d,\"uid\":%.*s,\"nsp\":%.*s}\n",
			 CLOSE, LP_SLICE_ARG(gone->named.name), LP_SLICE_ARG(nsp));
	struct lp_buffer room = {0};
	struct lp_slice letter = lp_post_letter(adapter->post, (struct lp_slice){text, (size_t)length}, &room);
	for (unsigned worker = 1; letter.bytes && worker <= adapter->post->workers; worker++)
		if (worker != gone->worker && lp_nodes_of(&adapter->adapters, worker))
			adapter->post->send(adapter->post->owner, worker, letter);
	lp_buffer_clear(&room);
}

static void tell_old_adapters(const struct lp_adapter *adapter, unsigned gone)
{
	char text[OWN_LETTER_MAX];
	int length = snprintf(text, sizeof(text), "{\"source\":\"_sio_adapter\",\"type\":3,\"data\":%u}\n", gone);
	struct lp_buffer room = {0};
	struct lp_slice letter = lp_post_letter(adapter->post, (struct lp_slice){text, (size_t)length}, &room);
	for (unsigned worker = 1; letter.bytes && worker <= adapter->post->workers; worker++)
		if (worker != gone && adapter->is_old[worker])
			adapter->post->send(adapter->post->owner, worker, letter);
	lp_buffer_clear(&room);
}

void lp_adapter_leave(struct lp_adapter *adapter, unsigned worker)
{
	struct lp_speaker *speaker;
	while ((speaker = lp_nodes_of(&adapter->adapters, worker))) {
		tell_adapters(adapter, speaker);
		lp_nodes_forget(&adapter->adapters, speaker);
	}
	while ((speaker = lp_nodes_of(&adapter->engines, worker)))
		lp_nodes_forget(&adapter->engines, speaker);
	if (adapter->is_old[worker])
		tell_old_adapters(adapter, worker);
	adapter->is_old[worker] = false;
}
