/*
 *     message                                     goes to
 *     source "_sio_adapter" without uid (0.1, 0.2)
 *       type 9, 11 (answers)                     the worker data.workerId
 *       type 1, 2 (hellos)                       all others that have spoken so
 *       any other                                those, and who has not spoken yet
 *     source "_sio_adapter" with uid (0.3)
 *       with a requesterUid (answers)            the worker that has spoken as that
 *       type 1, 2 (hellos)                       all others that have spoken so
 *       any other                                those, and who has not spoken yet
 *     _source "_eio"
 *       with a recipientId                       the worker that has spoken as that
 *       any other                                all others
 *
 * What is for somebody who is not there any more is dropped. Engines have to be spared it: they count their requests, so
 * that an answer to another engine's fits one of their own, and they do not check the addressee. (Their package's primary
 * sends it to all.) The adapters' package sends answers of types 11 and 12 to all, although only one waits for them.
 *
 * When a worker has ended, the others that speak as it did are told what it would have said itself, had it closed:
 *     0.1, 0.2   {type: 3 (exit), data: its id}
 *     0.3        {type: 13 (close), uid, nsp} for each of its adapters; there is one for each namespace. (Its package's
 *                primary says nothing, and everybody waits for the time-out.)
 * To the other version the same numbers mean other things: what is a goodbye to one ends a process with the other, and
 * leaving a room closes connections. So each hears only its own, also while workers are replaced by newer ones. Who has not
 * spoken has no adapter yet and reads later what it is sent: nothing, when both versions are about; no hellos, for it
 * is answered with those when it says its own, and may be gone before.
 */
#include "broker/adapter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLD_FETCH_ANSWER = 9, OLD_EMIT_ANSWER = 11, CLOSE = 13 };

/* The last type of a hello, in either version. */
#define LAST_HELLO 2

/* Bits of `speaks`. Who has not spoken is SILENT. Any may have an engine, which says nothing before it is asked. */
enum { OLD = 1, NEW = 2, SILENT = 4, ANY = OLD | NEW | SILENT };

/* The size of limpet's own messages to adapters: two identifiers and a few words. */
#define OWN_LETTER_MAX (2 * LP_NODE_ID_MAX + 128)

int lp_adapter_init(struct lp_adapter *adapter, const struct lp_message_writer *writer, uint64_t seed)
{
	*adapter = (struct lp_adapter){.writer = writer, .speaks = malloc(writer->workers + 1)};
	if (adapter->speaks)
		memset(adapter->speaks, SILENT, writer->workers + 1);
	if (adapter->speaks && lp_adapter_nodes_init(&adapter->adapters, writer->workers, seed) == 0 &&
	    lp_adapter_nodes_init(&adapter->engines, writer->workers, seed) == 0)
		return 0;
	lp_adapter_deinit(adapter);
	return -ENOMEM;
}

void lp_adapter_deinit(struct lp_adapter *adapter)
{
	lp_adapter_nodes_deinit(&adapter->adapters);
	lp_adapter_nodes_deinit(&adapter->engines);
	free(adapter->speaks);
	adapter->speaks = NULL;
}

static void send_to(const struct lp_adapter *adapter, unsigned worker, const struct lp_message *message)
{
	adapter->writer->send(adapter->writer->owner, worker, message->bytes);
}

static void send_to_others(const struct lp_adapter *adapter, unsigned sender, unsigned who, struct lp_slice bytes)
{
	const struct lp_message_writer *writer = adapter->writer;
	for (unsigned worker = 1; worker <= writer->workers; worker++)
		if (worker != sender && adapter->speaks[worker] & who)
			writer->send(writer->owner, worker, bytes);
}

/* A worker has an adapter of this version. */
static void note_speaker(struct lp_adapter *adapter, unsigned worker, unsigned version)
{
	unsigned speaks = adapter->speaks[worker];
	if (speaks & version)
		return;
	adapter->speaks[worker] = (uint8_t)((speaks | version) & ~(unsigned)SILENT);
	adapter->speakers[version]++;
}

/* Who is to hear a message of this type. */
static unsigned audience_of(const struct lp_adapter *adapter, unsigned version, long type)
{
	bool alone = adapter->speakers[version ^ (OLD | NEW)] == 0;
	return alone && type > LAST_HELLO ? version | SILENT : version;
}

static void take_old(struct lp_adapter *adapter, unsigned worker, const struct lp_message *message)
{
	long type = lp_json_number(message->fields[LP_MESSAGE_TYPE]);
	note_speaker(adapter, worker, OLD);
	if (type != OLD_FETCH_ANSWER && type != OLD_EMIT_ANSWER) {
		send_to_others(adapter, worker, audience_of(adapter, OLD, type), message->bytes);
		return;
	}
	long whose = lp_json_number(lp_json_member(message->fields[LP_MESSAGE_DATA], "workerId"));
	if (whose > 0 && whose <= (long)adapter->writer->workers && adapter->speaks[whose] & OLD)
		send_to(adapter, (unsigned)whose, message);
}

static void take_new(struct lp_adapter *adapter, unsigned worker, const struct lp_message *message)
{
	const struct lp_slice *fields = message->fields;
	const struct lp_speaker *requester = lp_adapter_nodes_find(&adapter->adapters, fields[LP_MESSAGE_REQUESTER]);
	bool answers = fields[LP_MESSAGE_REQUESTER].bytes;
	long type = lp_json_number(fields[LP_MESSAGE_TYPE]);
	note_speaker(adapter, worker, NEW);
	if (requester)
		send_to(adapter, requester->worker, message);
	else if (!answers || adapter->adapters.incomplete)
		send_to_others(adapter, worker, audience_of(adapter, NEW, type), message->bytes);
	if (!answers && type == CLOSE)
		lp_adapter_nodes_forget_id(&adapter->adapters, fields[LP_MESSAGE_UID], worker);
	else if (!answers)
		lp_adapter_nodes_learn(&adapter->adapters, fields[LP_MESSAGE_UID], fields[LP_MESSAGE_NSP], worker);
}

static void take_engine(struct lp_adapter *adapter, unsigned worker, const struct lp_message *message)
{
	const struct lp_slice *fields = message->fields;
	const struct lp_speaker *recipient = lp_adapter_nodes_find(&adapter->engines, fields[LP_MESSAGE_RECIPIENT]);
	lp_adapter_nodes_learn(&adapter->engines, fields[LP_MESSAGE_SENDER], (struct lp_slice){0}, worker);
	if (recipient)
		send_to(adapter, recipient->worker, message);
	else if (!fields[LP_MESSAGE_RECIPIENT].bytes || adapter->engines.incomplete)
		send_to_others(adapter, worker, ANY, message->bytes);
}

bool lp_adapter_handle(struct lp_adapter *adapter, unsigned worker, const struct lp_message *message)
{
	if (lp_json_is(message->fields[LP_MESSAGE_SOURCE], LP_SLICE("_sio_adapter"))) {
		if (message->fields[LP_MESSAGE_UID].bytes)
			take_new(adapter, worker, message);
		else
			take_old(adapter, worker, message);
		return true;
	}
	if (lp_json_is(message->fields[LP_MESSAGE_ENGINE_SOURCE], LP_SLICE("_eio"))) {
		take_engine(adapter, worker, message);
		return true;
	}
	return false;
}

/* Say to those who may wait for a worker that has ended what it would have said. */
static void say_for(const struct lp_adapter *adapter, unsigned gone, unsigned version, struct lp_slice line)
{
	struct lp_buffer room = {0};
	struct lp_slice message = lp_message_writer_encode(adapter->writer, line, &room);
	if (message.bytes)
		send_to_others(adapter, gone, version, message);
	lp_buffer_clear(&room);
}

static void say_goodbye(const struct lp_adapter *adapter, const struct lp_speaker *gone)
{
	char text[OWN_LETTER_MAX];
	struct lp_slice nsp = gone->nsp.bytes ? gone->nsp : LP_SLICE("null");
	int length =
		snprintf(text, sizeof(text), "{\"source\":\"_sio_adapter\",\"type\":%d,\"uid\":%.*s,\"nsp\":%.*s}\n",
			 CLOSE, LP_SLICE_ARG(gone->named.name), LP_SLICE_ARG(nsp));
	say_for(adapter, gone->worker, NEW, (struct lp_slice){text, (size_t)length});
}

static void say_exit(const struct lp_adapter *adapter, unsigned gone)
{
	char text[OWN_LETTER_MAX];
	int length = snprintf(text, sizeof(text), "{\"source\":\"_sio_adapter\",\"type\":3,\"data\":%u}\n", gone);
	say_for(adapter, gone, OLD, (struct lp_slice){text, (size_t)length});
}

void lp_adapter_leave(struct lp_adapter *adapter, unsigned worker)
{
	struct lp_speaker *speaker;
	while ((speaker = lp_adapter_nodes_of(&adapter->adapters, worker))) {
		say_goodbye(adapter, speaker);
		lp_adapter_nodes_forget(&adapter->adapters, speaker);
	}
	while ((speaker = lp_adapter_nodes_of(&adapter->engines, worker)))
		lp_adapter_nodes_forget(&adapter->engines, speaker);
	if (adapter->speaks[worker] & OLD)
		say_exit(adapter, worker);
	adapter->speakers[OLD] -= adapter->speaks[worker] & OLD ? 1 : 0;
	adapter->speakers[NEW] -= adapter->speaks[worker] & NEW ? 1 : 0;
	adapter->speaks[worker] = SILENT;
}
