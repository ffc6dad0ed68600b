/*
 * Native frames: whatever can be read has one spelling, and a channel hears any frames, one a line of the input (in which
 * a tab stands for a newline), of a worker that has connections in flight.
 */
#include "fuzz_channel.h"
#include "wire/frame.h"

enum { INPUT_MAX = 8192 };

static void check_spelling(const uint8_t *bytes, size_t length)
{
	/* A block of its own size, so that a read past it is seen. */
	char *exact = malloc(length ? length : 1);
	char written[LP_FRAME_HEAD_MAX];
	struct lp_frame frame;

	FUZZ_CHECK(exact);
	if (length > 0)
		memcpy(exact, bytes, length);
	if (lp_frame_parse(&frame, exact, length) == 0) {
		size_t head = lp_frame_write(&frame, written);
		FUZZ_CHECK(head <= LP_FRAME_HEAD_MAX &&
			   (frame.key.bytes || frame.name.bytes || head <= LP_FRAME_SHORT_MAX));
		FUZZ_CHECK(head + frame.value.length == length && length <= LP_FRAME_MAX);
		FUZZ_CHECK(memcmp(written, exact, head) == 0);
	}
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static uv_loop_t loop;
	struct fuzz_channel fuzz;

	check_spelling(bytes, length);
	if (length > INPUT_MAX)
		return 0;
	fuzz_channel_open(&fuzz, &lp_dialect_native, &loop);
	fuzz_say(&fuzz, "ready", 5);
	FUZZ_CHECK(fuzz.ready);
	fuzz_hand_over(&fuzz);
	for (size_t at = 0; at < length && !fuzz.ended;) {
		uint8_t text[INPUT_MAX];
		size_t frame = 0;
		for (; at < length && bytes[at] != '\n'; at++)
			text[frame++] = bytes[at] == '\t' ? '\n' : bytes[at];
		at++;
		check_spelling(text, frame);
		if (frame > 0) /* An empty message cannot be told from the end. */
			fuzz_say(&fuzz, text, frame);
	}
	FUZZ_CHECK(fuzz.channel.sent == FUZZ_CONNECTIONS);
	fuzz_channel_close(&fuzz, &loop);
	return 0;
}
