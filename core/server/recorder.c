/*
 * An array that is written round and round. Each place has its own room for a head, so that noting never allocates; the
 * rooms lie in one calloc'd block, whose pages cost nothing before they are first written to.
 *
 * Limits: one connection a millisecond. Under load the ring is a sample of the last quarter of a second, otherwise it is
 * the last 256 connections, however long ago.
 */
#include "server/recorder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lp_recorder {
	uint64_t noted_ms; /* When the last one was; before any, a time that never is. */
	uint64_t noted;    /* How many ever. */
	char *heads;
	struct lp_recorded ring[LP_RECORDER_CONNECTIONS];
};

_Static_assert(LP_RECORDED_HEAD_BYTES <= UINT16_MAX, "a head's length fits");

struct lp_recorder *lp_recorder_new(void)
{
	struct lp_recorder *recorder = calloc(1, sizeof(*recorder));

	if (!recorder)
		return NULL;
	recorder->noted_ms = UINT64_MAX;
	recorder->heads = calloc(LP_RECORDER_CONNECTIONS, LP_RECORDED_HEAD_BYTES);
	if (recorder->heads)
		return recorder;
	free(recorder);
	return NULL;
}

void lp_recorder_free(struct lp_recorder *recorder)
{
	if (!recorder)
		return;
	free(recorder->heads);
	free(recorder);
}

void lp_recorder_note(struct lp_recorder *recorder, uint64_t now_ms, const struct lp_policy_conn *conn,
		      const char *bytes, size_t length, unsigned worker)
{
	if (now_ms == recorder->noted_ms)
		return;
	if (!conn->head && !conn->hello)
		length = 0;
	if (length > LP_RECORDED_HEAD_BYTES)
		return;

	size_t place = recorder->noted++ % LP_RECORDER_CONNECTIONS;
	char *head = recorder->heads + place * LP_RECORDED_HEAD_BYTES;

	recorder->noted_ms = now_ms;
	if (length > 0)
		memcpy(head, bytes, length);
	recorder->ring[place] = (struct lp_recorded){
		.ip = conn->ip,
		.port = conn->port,
		.worker = (uint16_t)worker,
		.length = (uint16_t)length,
		.listener = conn->listener,
		.head = head,
	};
}

size_t lp_recorder_count(const struct lp_recorder *recorder)
{
	return recorder->noted < LP_RECORDER_CONNECTIONS ? (size_t)recorder->noted : LP_RECORDER_CONNECTIONS;
}

const struct lp_recorded *lp_recorder_get(const struct lp_recorder *recorder, size_t back)
{
	return &recorder->ring[(recorder->noted - 1 - back) % LP_RECORDER_CONNECTIONS];
}

/* The oldest first. */
char *lp_recorder_text(const struct lp_recorder *recorder, bool raw, size_t *length)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, length);
	bool failed;

	if (!out)
		return NULL;
	lp_recording_begin(out);
	for (size_t back = lp_recorder_count(recorder); back > 0; back--)
		lp_recording_write(out, lp_recorder_get(recorder, back - 1), raw);
	failed = ferror(out);
	if (fclose(out) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
