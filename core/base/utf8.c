/*
 * As RFC 3629 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
 */
#include "base/utf8.h"

#include <stdint.h>

static const struct {
	unsigned char mask, lead;
	uint32_t least;
} forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

size_t lp_utf8_length(const char *bytes, size_t length)
{
	const unsigned char *text = (const unsigned char *)bytes;
	size_t size = 1;
	uint32_t code;

	while (size <= 4 && (text[0] & forms[size - 1].mask) != forms[size - 1].lead)
		size++;
	if (size > 4 || size > length)
		return 0;
	code = text[0] & (unsigned char)~forms[size - 1].mask;
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	return code < forms[size - 1].least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
}
