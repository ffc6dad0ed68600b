/*
 * Values as V8 serializes them, which workers send in --node-serialization advanced. The input is one value.
 *
 * What is read is JSON afterwards (as our own scanner takes it: lone surrogates, which V8 has, are not for jansson), the
 * whole of it and each field that limpet goes by; what is cut off at the end is never read past. A value that limpet keeps
 * is the same when it has gone out in a message of limpet's and come back.
 */
#include <stdlib.h>

#include "base/buffer.h"
#include "base/json.h"
#include "broker/message.h"
#include "broker/v8frame.h"
#include "fuzz.h"

enum { INPUT_MAX = 4096, HEADER = 6 };

static void send_and_read(struct lp_slice value)
{
	struct lp_buffer frame = {0}, room = {0};
	struct lp_message message;
	FUZZ_CHECK(lp_v8_frame_with(LP_SLICE("{\"type\":[\"\\u20ac\"]}"), LP_SLICE("msg"), value, &frame) == 0);
	FUZZ_CHECK(lp_message_read_v8(&message, (struct lp_slice){frame.bytes, frame.length}, &room) == 0);
	struct lp_slice read = message.fields[LP_MESSAGE_MSG];
	FUZZ_CHECK(!(message.lossy & 1u << LP_MESSAGE_MSG));
	FUZZ_CHECK(read.length == value.length && memcmp(read.bytes, value.bytes, read.length) == 0);
	lp_buffer_clear(&frame);
	lp_buffer_clear(&room);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	if (length > INPUT_MAX)
		return 0;
	/* Its own allocation, so that AddressSanitizer sees a read past its end. */
	uint32_t size = (uint32_t)length + 2;
	char *frame = malloc(HEADER + length);
	const char header[HEADER] = {
		(char)(size >> 24), (char)(size >> 16), (char)(size >> 8), (char)size, '\xff', '\x0d'};
	FUZZ_CHECK(frame);
	memcpy(frame, header, HEADER);
	if (length)
		memcpy(frame + HEADER, bytes, length);

	struct lp_buffer room = {0};
	struct lp_message message;
	struct lp_slice whole = {frame, HEADER + length};
	if (lp_message_read_v8(&message, whole, &room) == 0) {
		for (int field = 0; field < LP_MESSAGE_FIELDS; field++) {
			bool kept = field == LP_MESSAGE_MSG || field == LP_MESSAGE_JSON;
			if (message.fields[field].bytes && !kept)
				FUZZ_CHECK(lp_json_check(message.fields[field]) == 0);
			else if (message.fields[field].bytes && !(message.lossy & 1u << field))
				send_and_read(message.fields[field]);
		}
		struct lp_slice text = lp_message_json(whole, &room);
		if (text.bytes)
			FUZZ_CHECK(lp_json_check(text) == 0);
	}
	lp_buffer_clear(&room);
	free(frame);
	return 0;
}
