/*
 * A character counts as one column; wide ones make a table uneven and nothing worse.
 */
#include "base/plain_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define MARK "\xe2\x80\xa6" /* … */

/* Bytes of the character that can be shown as it is, or 0: C0, DEL, C1, and the marks that turn text around. */
static size_t shown_length(const unsigned char *text)
{
	size_t length = lp_utf8_length((const char *)text, strnlen((const char *)text, 4));

	if (length == 1 && (text[0] < 0x20 || text[0] == 0x7f))
		return 0;
	if (length == 2 && text[0] == 0xc2 && text[1] < 0xa0)
		return 0;
	if (length == 3 && text[0] == 0xe2 &&
	    ((text[1] == 0x80 && text[2] >= 0xaa && text[2] <= 0xae) ||
	     (text[1] == 0x81 && text[2] >= 0xa6 && text[2] <= 0xa9)))
		return 0;
	return length;
}

size_t lp_plain_text(char *out, size_t size, const char *text, size_t columns)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t used = 0;
	size_t shown = 0;
	size_t before_last = 0; /* Where the mark goes when there is one more than fits. */

	while (*at) {
		size_t length = shown_length(at);
		size_t whole = lp_utf8_length((const char *)at, strnlen((const char *)at, 4));
		size_t bytes = length ? length : 1;

		if ((columns && shown == columns) || used + bytes >= size) {
			if (columns && before_last + sizeof(MARK) <= size) {
				memcpy(out + before_last, MARK, sizeof(MARK));
				return shown;
			}
			break;
		}
		before_last = used;
		if (length)
			memcpy(out + used, at, length);
		else
			out[used] = '?';
		used += bytes;
		shown++;
		at += whole ? whole : 1;
	}
	out[used] = '\0';
	return shown;
}

void lp_plain_print(FILE *out, const char *text, int columns)
{
	char plain[4096];
	size_t wanted = (size_t)abs(columns);
	size_t shown = lp_plain_text(plain, sizeof(plain), text, wanted);
	int blanks = wanted > shown ? (int)(wanted - shown) : 0;

	fprintf(out, "%*s%s%*s", columns < 0 ? blanks : 0, "", plain, columns < 0 ? 0 : blanks, "");
}
