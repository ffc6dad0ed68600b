/*
 * What needs no escape is written in runs.
 */
#include "base/json_text.h"

#include "base/utf8.h"

static void put_escape(FILE *out, unsigned char byte)
{
	static const char letters[] = "btn-fr"; /* For 8 to 13. */

	if (byte == '"' || byte == '\\')
		fprintf(out, "\\%c", byte);
	else if (byte >= 8 && byte <= 13 && letters[byte - 8] != '-')
		fprintf(out, "\\%c", letters[byte - 8]);
	else
		fprintf(out, "\\u%04x", byte);
}

void lp_json_put_string(FILE *out, struct lp_slice text)
{
	const char *run = text.bytes;
	const char *end = text.bytes + text.length;
	const char *at = run;

	fputc('"', out);
	while (at < end) {
		unsigned char byte = (unsigned char)*at;
		size_t length = lp_utf8_length(at, (size_t)(end - at));

		if (length > 0 && byte >= 0x20 && byte != 0x7f && byte != '"' && byte != '\\') {
			at += length;
			continue;
		}
		fwrite(run, 1, (size_t)(at - run), out);
		if (length == 0)
			fputs("\xef\xbf\xbd", out);
		else
			put_escape(out, byte);
		run = ++at;
	}
	fwrite(run, 1, (size_t)(at - run), out);
	fputc('"', out);
}
